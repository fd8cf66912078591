"""The coordinator's service: what it does to the processes that it keeps running."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.processes.child import Child
from server.coordinator.folder import renew_certificates
from server.coordinator.start import SUPERLINK, Service
from tests.coordinating import make_folder


def test_a_renewed_certificate_has_the_superlink_start_anew_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, killed = make_folder(tmp_path), []
    monkeypatch.setattr(Child, "kill", lambda self: killed.append(self.name))
    service = Service(folder)
    service._follow_certificate()
    assert killed == []
    assert renew_certificates(folder, now=datetime.now(UTC), within_days=1000)
    service._follow_certificate()
    service._follow_certificate()
    assert killed == [SUPERLINK]
