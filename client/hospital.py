"""A hospital's node: the folder of its rules and of all that it keeps."""

from pathlib import Path
from typing import NamedTuple

from client.site_file import STATE, SiteFile, read_site_file


class Hospital(NamedTuple):
    """A node's folder and the rules in it; docs/decisions/0013-hospital-node.md."""

    folder: Path
    rules: SiteFile

    @property
    def name(self) -> str:
        """The site's name in studies."""
        return self.rules.site

    @property
    def state(self) -> Path:
        """Where keys, ledger, approvals and audit log are."""
        return self.folder / STATE

    @property
    def roster(self) -> Path:
        """The sites' own list of keys."""
        return self.folder / self.rules.coordinator.roster


def open_hospital(folder: Path) -> Hospital:
    """Return the hospital of a node's folder.

    Raises:
        SettingsError: there are no rules, or they are wrong.
    """
    return Hospital(folder, read_site_file(folder))
