"""What packages offer under a name in their metadata: algorithms, robust aggregations."""

from importlib.metadata import entry_points
from typing import Any, TypeVar

from common.errors import SettingsError

T = TypeVar("T")


def find_installed(kind: type[T], name: str, *, where: str, also: str = "") -> T:
    """Return the `kind` that is installed under `name` in the group `wardround.<kind>s`.

    where: the setting that names it. also: what may be chosen besides, such as "the mean or ".

    Raises:
        SettingsError: there is none, and the message lists those that there are; or it is another
            kind of object.
    """
    word = kind.__name__.lower()
    known = entry_points(group=f"wardround.{word}s")
    if name not in known.names:
        raise SettingsError(
            f"{word} {name!r} is not installed",
            where=where,
            remedy=f"choose {also}one of {', '.join(sorted(known.names))}",
        )
    found: Any = known[name].load()
    if not isinstance(found, kind):
        raise SettingsError(
            f"{known[name].value} is no {kind.__name__}",
            where=f"entry point {name}",
            remedy="mend its package",
        )
    return found
