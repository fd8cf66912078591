"""The app bundle that a run carries: names of our apps and settings, and no code.

Hospitals compare its SHA-256 with the one that the coordinator has sealed, and never unpack it; the
coordinator's own ServerApp is the installed package. So the bundle is the same for all runs of a
version, and made from this module alone, wherever the package is installed.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path

import tomli_w

DEFAULTS: dict[str, str | int | float | bool] = {
    "study": "",
    "output": "",
    "resume": False,
    "roster": "",
    "coordinator": "",
    "fast-path": True,
    "keep-every": 0,
    "seed": 0,
}
"""The settings of a run that may be given when it starts, as `server.app` reads them."""


def make_bundle() -> bytes:
    """Return the bundle, the same bytes each time on one machine."""
    from flwr.cli.build import build_fab_from_disk

    app = {
        "publisher": "wardround",
        "fab-include": ["pyproject.toml"],
        "components": {"serverapp": "server.app:app", "clientapp": "client.app:app"},
        "config": DEFAULTS,
    }
    project = {"name": "wardround", "version": version("wardround"), "license": "Apache-2.0"}
    described = project | {"description": "Federated meta-learning across hospitals"}
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        text = tomli_w.dumps({"project": described, "tool": {"flwr": {"app": app}}})
        (Path(folder) / "pyproject.toml").write_text(text, encoding="utf-8")
        return build_fab_from_disk(Path(folder))
