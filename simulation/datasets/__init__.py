"""Data sets by name: real ones that anyone may download, and a generator of virtual hospitals."""

from collections.abc import Callable
from pathlib import Path

from common.errors import SettingsError
from simulation.datasets import noise, synthetic, thyroid, uci_heart
from simulation.datasets.base import Dataset

_OWN_SITES: dict[str, Callable[[Path | None], Dataset]] = {
    "thyroid": lambda _: thyroid.load(),
    "uci-heart": uci_heart.load,
}
_GENERATED: dict[str, synthetic.SyntheticSettings] = {
    "synthetic": synthetic.SyntheticSettings(),
    "synthetic-middle": synthetic.SyntheticSettings(tau=1.0),
    "synthetic-diverse": synthetic.SyntheticSettings(tau=2.0),
    "synthetic-control": synthetic.SyntheticSettings(shared=0.0),
}
NAMES = tuple(sorted([*_OWN_SITES, *_GENERATED]))
_NOISE, _NOISE_SITES = "noise", 10


def load_dataset(name: str, *, data: Path | None, seed: int, sites: int = 0) -> Dataset:
    """Return a data set by its name, one of `NAMES`; `load_table` reads tables of other names.

    Args:
        name: which data set.
        data: the folder of downloaded files, for a data set that needs one.
        seed: what a generated data set is drawn from.
        sites: how many hospitals to generate; 0 is the default number, and what real data need.

    Raises:
        SettingsError: the name is unknown, or the other settings do not go with it.
        TableError: the files are missing or are other ones.
    """
    if name in _GENERATED:
        return synthetic.generate(_GENERATED[name].with_sites(sites), seed, name=name)
    if name == _NOISE:  # for measuring speed, so it is not offered among the others
        return noise.generate(sites or _NOISE_SITES, seed)
    if name not in _OWN_SITES:
        raise SettingsError(
            f"data set {name!r} is unknown", where="dataset", remedy=f"name {', '.join(NAMES)}"
        )
    if sites:
        raise SettingsError(
            f"{sites} sites cannot be had of {name}", where="sites", remedy="leave it at 0"
        )
    return _OWN_SITES[name](data)
