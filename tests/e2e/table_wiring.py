"""The executor's wiring for these tests: the installed app, opened by a node config of the test's.

Until a hospital is opened from {"node": folder}, the test's node config is in the folder.
"""

import json
from pathlib import Path

from client.executor.executor import Value
from client.executor.wiring import app, approved_bundles, kinds

__all__ = ["app", "approved_bundles", "kinds", "node_config"]


def node_config(folder: Path) -> dict[str, Value]:
    """Return the node config that the test has written."""
    config: dict[str, Value] = json.loads((folder / "config.json").read_text())
    return config
