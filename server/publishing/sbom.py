"""What the program that made a model consists of: a CycloneDX list of installed distributions."""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

ROOT = "wardround"
LEFT_OUT = {"dev", "bench"}
EXTRA = "the extra is not installed: pip install 'wardround[export]'"


class NoList(Exception):
    """There is no list; the message says why."""


def sbom() -> bytes:
    """Return the CycloneDX JSON (1.6) of the distributions that the package depends on.

    Those of its extras are named where they are installed, but for development and benchmarks.

    Raises:
        NoList: the extra is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.output.json import JsonV1Dot6
        from packaging.utils import canonicalize_name
    except ImportError:
        raise NoList(EXTRA) from None
    found = closure()
    parts = {name: _component(one) for name, (one, _) in found.items()}
    bom = Bom(components=(part for name, part in parts.items() if name != ROOT))
    bom.metadata.component = parts[canonicalize_name(ROOT)]
    for name, (_, needs) in found.items():
        bom.register_dependency(parts[name], [parts[n] for n in needs])
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text.encode() + b"\n"


def closure() -> dict[str, tuple[Distribution, list[str]]]:
    """Return all distributions that the package needs, by name, each with those that it needs."""
    found: dict[str, tuple[Distribution, list[str]]] = {}
    waiting = [(ROOT, frozenset(_extras()))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        one = _installed(name)
        if one is None or (name, extras) in seen:
            continue
        seen.add((name, extras))
        needs = [need for need in _needs(one, extras) if _installed(need[0])]
        earlier = found[name][1] if name in found else []
        found[name] = one, sorted({*earlier, *(n for n, _ in needs if n != name)})
        waiting += needs
    return found


def _extras() -> set[str]:
    return set(distribution(ROOT).metadata.get_all("Provides-Extra") or ()) - LEFT_OUT


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _needs(one: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what a distribution with these extras needs here, each with the extras of it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for line in one.requires or ():
        need = Requirement(line)
        marker = need.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras)):
            yield canonicalize_name(need.name), frozenset(need.extras)


def _component(one: Distribution):  # type: ignore[no-untyped-def]
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL("pypi", "", one.name.lower(), one.version)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=_licenses(one),
    )


def _licenses(one: Distribution):  # type: ignore[no-untyped-def]
    """Return the licence where the distribution states it as an SPDX expression."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    stated = one.metadata.get_all("License-Expression") or ()
    return [LicenseFactory().make_from_string(text) for text in stated]


if __name__ == "__main__":
    sys.stdout.buffer.write(sbom())
