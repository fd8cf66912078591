"""Exports without their ONNX file."""

import pytest

from common.onnx_files import NotExportable
from server.publishing import exporting


@pytest.fixture
def no_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write none: it takes seconds, and test_network.py does."""

    def refuse(given: object) -> bytes:
        raise NotExportable("not in this test")

    monkeypatch.setattr(exporting, "network", refuse)
