"""Print what pyproject.toml requires: python requirements.py [EXTRA ...]."""

import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = sys.argv[1:]
wanted = [each for extra in extras for each in project["optional-dependencies"][extra]]
print("\n".join(wanted if extras else project["dependencies"]))
