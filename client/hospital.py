"""A hospital's node: the folder of its rules and of all that it keeps."""

from pathlib import Path
from typing import NamedTuple

from client.site_file import SITE_FILE, STATE, SiteFile, read_site_file
from client.source_settings import SourceSettings
from common.errors import SettingsError


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

    @property
    def source(self) -> SourceSettings:
        """Where its patients are read from.

        Raises:
            SettingsError: none is named yet.
        """
        if self.rules.source is None:
            raise SettingsError(
                "it is not said where the patients are",
                where=str(self.folder / SITE_FILE),
                remedy="wardround node map adds a source",
            )
        return self.rules.source


def open_hospital(folder: Path) -> Hospital:
    """Return the hospital of a node's folder.

    Raises:
        SettingsError: there are no rules, or they are wrong.
    """
    return Hospital(folder, read_site_file(folder))
