"""The list of what a model was made with."""

import json
import sys
from importlib.metadata import version

import pytest

from server.publishing.sbom import NoList, closure, sbom


def test_it_names_what_is_installed_with_its_version_and_what_needs_what() -> None:
    pytest.importorskip("cyclonedx")
    found = json.loads(sbom())
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found["metadata"]["component"]["name"] == "wardround"
    versions = {c["name"].lower(): c["version"] for c in found["components"]}
    for name in ("torch", "flwr", "numpy", "safetensors"):
        assert versions[name] == version(name)
    assert "pytest" not in versions  # for development only
    needs = {d["ref"]: d.get("dependsOn", []) for d in found["dependencies"]}
    root = f"pkg:pypi/wardround@{version('wardround')}"
    torch = version("torch").replace("+", "%2B")
    assert f"pkg:pypi/torch@{torch}" in needs[root]


def test_every_needed_distribution_is_in_the_closure() -> None:
    pytest.importorskip("packaging")
    found = closure()
    assert all(need in found for _, needs in found.values() for need in needs)


def test_without_the_extra_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx.model.bom", None)
    with pytest.raises(NoList, match="pip install"):
        sbom()
