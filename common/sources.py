"""Where virtual sites come from.

In a simulation a client is given a partition number and no data folder. What site that is, is known
to a `Source`, which the simulation package offers as an entry point; so neither client nor server
imports the simulation. In a deployment no source is ever asked.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol, cast

from common.episodes import Site
from common.errors import SettingsError
from common.randomness import derived_key
from common.study import Study

RunSettings = Mapping[str, str | int | float | bool]
"""Flower's run config: `[tool.flwr.app.config]` in pyproject.toml lists the keys."""


class Source(Protocol):
    """Maker of virtual sites; all methods are functions of the settings alone."""

    def study(self, settings: RunSettings) -> Study:
        """Return the study that the settings describe."""
        ...

    def site(self, settings: RunSettings, index: int) -> Site:
        """Return the site of partition `index`, with its meta-training tasks."""
        ...

    def roster(self, settings: RunSettings) -> str:
        """Return the roster of the virtual sites, signed by all of them."""
        ...


def virtual_identity(site_key: bytes) -> bytes:
    """Return the secret [32] of a virtual site's identity: it follows from the site's key."""
    return derived_key(site_key, "identity")


def simulated_source() -> Source:
    """Return the installed source of virtual sites.

    Raises:
        SettingsError: none is installed.
    """
    found = entry_points(group="wardround.sources", name="simulated")
    if not found:
        raise SettingsError(
            "no source of virtual sites is installed", where="wardround", remedy="name a study"
        )
    return cast(Source, next(iter(found)).load()())
