"""A coordinator's folder: made once, closed to others, its authority never remade."""

import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.certificates import days_left
from common.errors import SettingsError
from common.files import write_atomically
from server.coordinator import folder as module
from server.coordinator.folder import (
    CoordinatorFolder,
    init_folder,
    open_folder,
    renew_certificates,
)
from server.coordinator.settings import read_settings
from tests.coordinating import make_folder

NOW = datetime.now(UTC)


def test_the_folder_and_its_keys_are_closed_to_others(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "c")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for name in ("ca.key", "server.pem", "coordinator.key", "superexec.secret"):
        assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600
    assert open_folder(folder.path) == folder


def test_a_second_init_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(SettingsError, match="not empty"):
        make_folder(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    assert folder.signer().public == open_folder(tmp_path).signer().public


def test_a_folder_that_others_may_enter_is_not_opened(tmp_path: Path) -> None:
    make_folder(tmp_path)
    tmp_path.chmod(0o755)
    with pytest.raises(SettingsError, match="open to others"):
        open_folder(tmp_path)


def test_a_certificate_is_renewed_in_its_last_thirty_days_under_the_same_authority(
    tmp_path: Path,
) -> None:
    folder = make_folder(tmp_path)
    authority, first = folder.authority, folder.server_certificate.read_bytes()
    assert not renew_certificates(folder, now=NOW + timedelta(days=59))
    assert folder.server_certificate.read_bytes() == first
    later = NOW + timedelta(days=61)
    assert renew_certificates(folder, now=later)
    assert days_left(folder.server_certificate.read_bytes(), now=later) > 89
    assert folder.authority == authority


def loads(folder: CoordinatorFolder) -> bool:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder.server_certificate)
    return True


@pytest.mark.parametrize("damage", ["missing", "torn", "no key", "another's key"])
def test_a_certificate_that_cannot_be_served_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder, other = make_folder(tmp_path / "a"), make_folder(tmp_path / "b")
    path, mark = folder.server_certificate, b"-----BEGIN PRIVATE"
    certificate, _, _ = path.read_bytes().partition(mark)
    _, _, key = other.server_certificate.read_bytes().partition(mark)
    left = {
        "torn": certificate[:300],
        "no key": certificate,
        "another's key": certificate + mark + key,
    }
    path.write_bytes(left[damage]) if damage in left else path.unlink()
    assert renew_certificates(folder, now=NOW)
    assert loads(folder)


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_renewal_that_is_killed_after_any_write_leaves_a_pair_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    folder, writes = make_folder(tmp_path), list[Path]()

    def write(path: Path, data: bytes) -> None:
        if len(writes) == allowed:
            raise KeyboardInterrupt
        writes.append(path)
        write_atomically(path, data)

    monkeypatch.setattr(module, "write_atomically", write)
    with suppress(KeyboardInterrupt):
        renew_certificates(folder, now=NOW, within_days=1e6)
    assert len(writes) == allowed
    assert loads(folder)


@pytest.mark.parametrize("host", ["", "a b", "https://a", "a:8443", "-a", "a/b", "é", "a\nb"])
def test_what_is_no_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="hosts"):
        init_folder(tmp_path / "c", "wards", [host], port=8443, now=NOW)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "line",
    [
        "strange = 1",
        "[edge]\nport = 0",
        "[edge.limits]\nrate = 0",
        "[paths]\nstudy = '/etc/passwd'",
        "[paths]\nstudy = '../study.toml'",
        "[superlink]\nhost = 'a b'",
        "schema = 2",
        "= no TOML",
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, line: str) -> None:
    text = f'schema = 1\nname = "wards"\nhosts = ["localhost"]\n{line}\n'
    (tmp_path / "coordinator.toml").write_text(
        text.replace("schema = 1\n", "", "schema = 2" in line)
    )
    with pytest.raises(SettingsError):
        read_settings(tmp_path)


def test_a_folder_without_settings_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no coordinator's folder"):
        open_folder(tmp_path)
