"""Folders that were published: signed and not, of one run and of others."""

import pytest

from tests.common.publication.tampering import Published
from tests.publishing import (
    coordinator,
    publish,
    quick_run,
    simulated_run,
    study_of,
    with_metrics_of,
)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    place = tmp_path_factory.mktemp("published")
    study = simulated_run(place / "a")
    quick_run(place / "b" / "run", study)
    with_metrics_of(place / "b" / "run", place / "a" / "run")
    folder = coordinator(place / "c", study)
    quick_run(place / "quick", study_of())
    return Published(
        publish(place / "a" / "run", place / "signed", folder=folder),
        publish(place / "a" / "run", place / "unsigned"),
        publish(place / "b" / "run", place / "other", folder=folder),
        publish(place / "quick", place / "quickly"),
        folder.signer().public.hex(),
    )
