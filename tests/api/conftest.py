"""Six small hospitals, that many tests can share."""

import pytest

import wardround as wr

SMALL = {"episodes": {"support": 4, "query": 4, "meta_batch": 2}, "model": {"hidden": 8}}


@pytest.fixture(scope="session")
def small() -> wr.Hospitals:
    return wr.hospitals("synthetic", sites=12)
