"""A coordinator whose edge is up, and a SuperLink that only remembers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.hospital import Hospital
from common.study import Study, make_study, study_toml
from server.coordinator.edge import make_edge
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.service import Service
from server.coordinator.serving import EdgeServer
from server.study_commands import sign
from tests.client.join.rosters import NAMES, enrolled
from tests.conftest import ward_settings
from tests.coordinating import RememberingFleet, make_folder, serving, with_limits


@pytest.fixture
def fleet() -> RememberingFleet:
    return RememberingFleet()


@pytest.fixture
def folder(tmp_path: Path, fleet: RememberingFleet) -> Iterator[CoordinatorFolder]:
    """Return the folder of a coordinator whose edge is up."""
    made = with_limits(make_folder(tmp_path / "coordinator"), enrol_burst=1000)
    service = Service(made, registrar=lambda f: register_pending(f, fleet))
    with serving(EdgeServer(made, make_edge(made, ours=service.app()))):
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def study() -> Study:
    sites = [
        {"name": name, "weight": weight}
        for name, weight in zip(NAMES, (1.0, 2.0, 0.5), strict=True)
    ]
    return make_study(ward_settings() | {"sites": sites}, where="test")


@pytest.fixture
def wards(folder: CoordinatorFolder, study: Study, tmp_path: Path) -> dict[str, Hospital]:
    """Return the hospitals of a signed study, which have all joined."""
    (tmp_path / "study.toml").write_text(study_toml(study))
    sign(tmp_path / "study.toml", folder=folder.path)
    return {name: enrolled(folder, tmp_path, name) for name in NAMES}
