"""A hospital joins a served coordinator: what is sent to whom, what is written, what is told."""

import re
import socket
import stat
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import client.join.line as line_module
from client.hospital import open_hospital
from client.identity import make_identity
from client.join.commands import join as join_command
from client.join.commands import rotate_key as rotate_command
from client.join.joining import join, rotate_key
from client.join.keys import public_in_use, read_node_key
from client.join.line import CoordinatorRefuses
from client.site_file import STATE
from common.certificates import flower_form, in_groups
from common.crypto import SigningKey, fresh_key
from common.enrolment import RECEIPT, Complaint, Receipt
from common.errors import SettingsError
from common.invitation import Invitation
from common.privacy.masking.statements import Signed, signed
from common.study import Study, study_toml
from server.coordinator.edge import make_edge
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.registry import open_book
from server.coordinator.service import Service
from server.coordinator.serving import EdgeServer
from server.study_commands import sign
from tests.coordinating import (
    NOW,
    RememberingFleet,
    invited,
    make_folder,
    serving,
    upstream,
    with_limits,
)


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
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def code(folder: CoordinatorFolder, site: str = "Ash") -> str:
    return invited(folder, site).code


def test_a_hospital_joins_and_its_folder_is_complete(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path, ward_study: Study
) -> None:
    path, node = tmp_path / "study.toml", tmp_path / "ash"
    path.write_text(study_toml(ward_study))
    sign(path, folder=folder.path)
    joined = join(code(folder), node, "Ash")
    assert (joined.study, joined.missing, joined.receipt.registered) == (True, {}, True)
    assert (node / "ca.crt").read_bytes() == folder.ca.read_bytes()
    assert stat.S_IMODE((node / "node.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((node / STATE).stat().st_mode) == 0o700
    assert fleet.welcome == {flower_form(read_node_key(node / "node.key").public)}
    rules = open_hospital(node).rules
    assert rules.coordinator.key == folder.signer().public.hex()
    assert rules.coordinator.address == f"localhost:{folder.settings.edge.port}"
    assert (node / "study.toml").read_text() == study_toml(ward_study)
    with pytest.raises(SettingsError, match="where the patients are"):
        _ = open_hospital(node).source


def test_private_keys_stay_at_the_hospital(folder: CoordinatorFolder, tmp_path: Path) -> None:
    join(code(folder), tmp_path / "ash", "Ash")
    secret = make_identity(tmp_path / "ash" / STATE)
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
            assert secret.hex().encode() not in path.read_bytes()


def test_joining_twice_with_one_code_changes_nothing(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    word, node = code(folder), tmp_path / "ash"
    first = join(word, node, "Ash")
    before = {p: p.read_bytes() for p in node.rglob("*") if p.is_file()}
    assert join(word, node, "Ash") == first
    assert {p: p.read_bytes() for p in node.rglob("*") if p.is_file()} == before
    assert len(fleet.known) == 1
    with pytest.raises(CoordinatorRefuses, match="used-invitation"):
        join(word, tmp_path / "elsewhere", "Ash")


def test_a_revoked_hospital_joins_again_with_the_same_identity_and_a_new_node_key(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    first = join(code(folder), node, "Ash")
    revoke(folder, "Ash", node_key=False, now=NOW)
    register_pending(folder, fleet)
    assert not fleet.welcome
    second = join(code(folder), node, "Ash")
    assert (second.identity, second.node != first.node) == (first.identity, True)
    assert fleet.welcome == {flower_form(public_in_use(node / "node.key"))}
    assert not (node / "node.key.new").exists()


def test_an_existing_site_file_is_left_as_it_is_and_its_gaps_are_told(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    node.mkdir()
    text = '# ours\nschema = 1\nsite = "Ash"\n[source]\nkind = "file"\npath = "p.csv"\n'
    (node / "site.toml").write_text(text)
    joined = join(code(folder), node, "Ash")
    assert (node / "site.toml").read_text() == text
    assert joined.missing == {
        "key": folder.signer().public.hex(),
        "address": f"localhost:{folder.settings.edge.port}",
    }
    with pytest.raises(SettingsError, match="of site Ash"):
        join(code(folder, "Elm"), node, "Elm")


def test_a_folder_of_another_coordinator_is_left_alone(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    node.mkdir()
    (node / "ca.crt").write_bytes(make_folder(tmp_path / "other").ca.read_bytes())
    with pytest.raises(SettingsError, match="another coordinator"):
        join(code(folder), node, "Ash")
    assert not (node / STATE).exists()


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
        join(code(folder), tmp_path / "ash", "Ash")


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
        join(code(folder), tmp_path / "ash", "Ash")
    assert set(proxy.seen) == {f"localhost:{folder.settings.edge.port}"}
    assert len(proxy.seen) >= 2


def test_the_doctor_finds_nothing_wrong_with_the_way_to_the_coordinator(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    from client.doctor.network import check_network

    join(code(folder), tmp_path / "ash", "Ash")
    findings = list(check_network(open_hospital(tmp_path / "ash")))
    assert {"name", "authority", "connection", "clock", "tls", "versions"} <= {
        each.check for each in findings
    }
    assert not [each for each in findings if each.verdict != "ok"]


@pytest.mark.parametrize("lie", ["key", "request", "site", "signature", "nonsense"])
def test_a_receipt_that_is_not_of_this_request_is_refused(
    folder: CoordinatorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """A coordinator that swaps keys: what it says does not fit what was asked, or what is known."""
    node, stranger = tmp_path / "ash", SigningKey(fresh_key())
    join(code(folder), node, "Ash")
    honest = line_module.Line.post

    def lying(self: line_module.Line, path: str, text: str) -> str:
        said = Signed.read(honest(self, path, text))
        receipt = Receipt.read(said.statement)
        if lie == "key":
            changed = receipt.model_copy(update={"key": stranger.public.hex()})
            return signed(changed, stranger, RECEIPT).text
        if lie == "signature":
            return signed(receipt, stranger, RECEIPT).text
        if lie == "nonsense":
            return "{}"
        other = {"request": "00" * 32} if lie == "request" else {"site": "Elm"}
        return signed(receipt.model_copy(update=other), folder.signer(), RECEIPT).text

    monkeypatch.setattr(line_module.Line, "post", lying)
    before = (node / "node.key").read_bytes(), (node / "site.toml").read_bytes()
    with pytest.raises(SettingsError, match=r"another key|not what was asked"):
        rotate_key(node)
    assert before == ((node / "node.key").read_bytes(), (node / "site.toml").read_bytes())


def test_a_study_that_another_key_has_signed_is_not_written(
    folder: CoordinatorFolder, tmp_path: Path, ward_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.study.write_text(study_toml(ward_study))
    sign(folder.study, key=tmp_path / "other.key")
    monkeypatch.setattr("server.coordinator.service.read_signed_study", lambda path, key: None)
    with pytest.raises(SettingsError, match="another key"):
        join(code(folder), tmp_path / "ash", "Ash")
    assert not (tmp_path / "ash" / "study.toml").exists()
    assert not list((tmp_path / "ash").glob("tmp*"))


def test_a_node_key_is_changed_without_an_invitation_or_a_restart(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    join(code(folder), node, "Ash")
    old = public_in_use(node / "node.key")
    receipt, _ = rotate_key(node)
    new = public_in_use(node / "node.key")
    assert receipt.registered
    assert new != old
    assert (node / "node.key.pub").read_text() == new + "\n"
    assert fleet.welcome == {flower_form(new)}


def test_a_change_of_keys_that_was_cut_off_is_ended_by_the_next(
    folder: CoordinatorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "ash"
    join(code(folder), node, "Ash")
    with monkeypatch.context() as patch:
        patch.setattr("client.join.joining.adopt", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rotate_key(node)
    offered = read_node_key(node / "node.key.new").public
    rotate_key(node)
    assert public_in_use(node / "node.key") == offered
    with open_book(folder.registry) as book:
        assert [entry.public for entry in book.nodes() if entry.until is None] == [offered]


def test_a_lost_node_key_is_replaced_by_the_identity(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    join(code(folder), node, "Ash")
    (node / "node.key").unlink()
    rotate_key(node)
    assert read_node_key(node / "node.key").public


def test_a_revoked_site_does_not_come_back_by_its_identity(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    join(code(folder), node, "Ash")
    revoke(folder, "Ash", node_key=False, now=NOW)
    with pytest.raises(CoordinatorRefuses, match="no-member"):
        rotate_key(node)


def test_a_node_that_has_not_joined_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('schema = 1\nsite = "Ash"\n')
    with pytest.raises(SettingsError, match="no coordinator"):
        rotate_key(tmp_path)


def test_what_a_coordinator_says_cannot_move_the_cursor() -> None:
    said = Complaint(code="x\x1b[2J", what="a\nb\x07", remedy="\u202e")
    shown = str(CoordinatorRefuses(said, "localhost:1"))
    assert shown.isprintable()


def test_commands_print_what_is_compared_by_telephone(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command("join")(join_command)
    app.command("rotate-key")(rotate_command)
    node, runner = tmp_path / "ash", CliRunner()
    words = ["join", code(folder), "--folder", str(node), "--site", "Ash"]
    shown = runner.invoke(app, words, catch_exceptions=False).stdout
    assert in_groups(folder.authority) in shown
    assert in_groups(folder.signer().public.hex()) in shown
    own = SigningKey(make_identity(node / STATE)).public.hex()
    assert in_groups(own) in shown
    shown = runner.invoke(app, ["rotate-key", "--folder", str(node)], catch_exceptions=False).stdout
    assert re.search(r"New node key  SHA-256 ([0-9a-f]{8} ?){8}", shown)


def test_the_written_site_file_is_toml_whatever_the_name(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    name = 'Sankt "Jürgen" \\ #1'
    join(Invitation.read(code(folder, name)).code, tmp_path / "j", name)
    assert tomllib.loads((tmp_path / "j" / "site.toml").read_text())["site"] == name
