"""Whether the coordinator in a folder answers: its edge, and the SuperLink behind it.

python health.py [FOLDER]
"""

import ssl
import sys
from pathlib import Path

import httpx

from server.coordinator.folder import open_folder

folder = open_folder(Path(*sys.argv[1:]))
authority = ssl.create_default_context(cafile=folder.ca)
edge = f"127.0.0.1:{folder.settings.edge.port}"
for address in (edge, folder.settings.superlink_address):
    answer = httpx.get(f"https://{address}/health", verify=authority, trust_env=False, timeout=10)
    answer.raise_for_status()
