"""A coordinator's folder: fresh, shared by many requests, or with a study that is sealed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.study import Study, make_study
from server.coordinator import following, running
from server.coordinator.bundle import make_bundle
from server.coordinator.fleet import SuperLinkDown
from server.coordinator.folder import CoordinatorFolder
from tests.conftest import ward_settings
from tests.coordinating import make_folder
from tests.server.coordinator.runs import Flower, seal


@pytest.fixture
def folder(tmp_path: Path) -> CoordinatorFolder:
    return make_folder(tmp_path / "coordinator")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorFolder:
    return make_folder(tmp_path_factory.mktemp("shared") / "coordinator")


@pytest.fixture
def study() -> Study:
    return make_study(ward_settings() | {"sites": [{"name": "Ash"}]}, where="test")


@pytest.fixture
def sealed(folder: CoordinatorFolder, study: Study) -> CoordinatorFolder:
    seal(folder, study, make_bundle())
    return folder


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> Flower:
    made = Flower()

    @contextmanager
    def opened(folder: CoordinatorFolder) -> Iterator[Flower]:
        if not made.up:
            raise SuperLinkDown("ConnectError")
        yield made

    for module in (running, following):
        monkeypatch.setattr(module, "control_api", opened)
    monkeypatch.setattr(running, "register_pending", lambda folder, api: True)
    return made
