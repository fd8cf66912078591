"""The line to a coordinator: who may stand on the way, and what they learn."""

import socket
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from client.hospital import open_hospital
from client.join.joining import join
from client.join.line import CoordinatorRefuses
from common.enrolment import Complaint
from common.errors import SettingsError
from server.coordinator.folder import CoordinatorFolder
from tests.coordinating import invited, make_folder, serving, upstream, with_limits


class Interceptor:
    """What an interceptor saw, and which authority it shows."""

    def __init__(self, shown: bytes) -> None:
        self.shown, self.seen = shown, b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        self.seen += b"%s %s %s " % (scope["method"].encode(), scope["raw_path"], body)
        self.seen += b" ".join(value for _, value in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.shown})


@pytest.mark.parametrize("shows", ["its own", "the true one", "nonsense"])
def test_an_interceptor_learns_nothing(tmp_path: Path, shows: str) -> None:
    """The hospital dials the coordinator, and somebody else answers there."""
    true, false = make_folder(tmp_path / "true"), with_limits(make_folder(tmp_path / "false"))
    shown = {"its own": false.ca, "the true one": true.ca, "nonsense": false.path / "x"}[shows]
    spy = Interceptor(shown.read_bytes() if shown.exists() else b"<html>")
    address = f"localhost:{false.settings.superlink.port}"
    invitation = invited(true)._replace(address=address)
    expected = "stands between" if shows == "the true one" else "not the coordinator"
    with serving(upstream(false, spy)), pytest.raises(SettingsError, match=expected) as told:
        join(invitation.code, tmp_path / "ash", "Ash")
    assert "nothing was sent" in str(told.value)
    assert spy.seen.count(b"/enrol") == 1
    assert spy.seen.startswith(b"GET /enrol/ca ")
    for secret in (invitation.secret, invitation.secret.hex().encode(), b"Ash"):
        assert secret not in spy.seen
    assert not (tmp_path / "ash" / "site.toml").exists()


def test_the_proxy_of_the_environment_is_asked(
    folder: CoordinatorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(SettingsError, match="does not answer"):
        join(invited(folder).code, tmp_path / "ash", "Ash")


class ConnectProxy:
    """A proxy that passes CONNECT on, as hospitals have them; seen: what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                guest, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(guest,), daemon=True).start()

    def _tunnel(self, guest: socket.socket) -> None:
        asked = guest.recv(4096).split()[1].decode()
        self.seen.append(asked)
        with guest, socket.create_connection(("127.0.0.1", int(asked.rpartition(":")[2]))) as there:
            guest.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, guest), daemon=True)
            back.start()
            _pump(guest, there)
            back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


def test_a_hospital_behind_a_proxy_joins_through_it(
    folder: CoordinatorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(ConnectProxy()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        join(invited(folder).code, tmp_path / "ash", "Ash")
    assert set(proxy.seen) == {f"localhost:{folder.settings.edge.port}"}
    assert len(proxy.seen) >= 2


def test_the_doctor_finds_nothing_wrong_with_the_way_to_the_coordinator(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    from client.doctor.network import check_network

    join(invited(folder).code, tmp_path / "ash", "Ash")
    findings = list(check_network(open_hospital(tmp_path / "ash")))
    assert {"name", "authority", "connection", "clock", "tls", "versions"} <= {
        each.check for each in findings
    }
    assert not [each for each in findings if each.verdict != "ok"]


def test_what_a_coordinator_says_cannot_move_the_cursor() -> None:
    said = Complaint(code="x\x1b[2J", what="a\nb\x07", remedy="\u202e")
    shown = str(CoordinatorRefuses(said, "localhost:1"))
    assert shown.isprintable()
