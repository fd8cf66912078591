"""Six small hospitals, that many tests can share."""

import pytest

import wardround as wr


@pytest.fixture(scope="session")
def small() -> wr.Hospitals:
    return wr.hospitals("synthetic", sites=12)
