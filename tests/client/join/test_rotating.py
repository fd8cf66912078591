"""A hospital changes its node key: by its identity, and by nothing else."""

from pathlib import Path

import pytest

import client.join.line as line_module
from client.join.joining import join, rotate_key
from client.join.keys import public_in_use, read_node_key
from client.join.line import CoordinatorRefuses
from common.certificates import flower_form
from common.crypto import SigningKey, fresh_key
from common.enrolment import RECEIPT, Receipt
from common.errors import SettingsError
from common.privacy.masking.statements import Signed, signed
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.registry import open_book
from tests.coordinating import NOW, RememberingFleet, invited


@pytest.mark.parametrize("lie", ["key", "request", "site", "signature", "nonsense"])
def test_a_receipt_that_is_not_of_this_request_is_refused(
    folder: CoordinatorFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """A coordinator that swaps keys: what it says does not fit what was asked, or what is known."""
    node, stranger = tmp_path / "ash", SigningKey(fresh_key())
    join(invited(folder).code, node, "Ash")
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


def test_a_node_key_is_changed_without_an_invitation_or_a_restart(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    join(invited(folder).code, node, "Ash")
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
    join(invited(folder).code, node, "Ash")
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
    join(invited(folder).code, node, "Ash")
    (node / "node.key").unlink()
    rotate_key(node)
    assert read_node_key(node / "node.key").public


def test_a_revoked_site_does_not_come_back_by_its_identity(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    join(invited(folder).code, node, "Ash")
    revoke(folder, "Ash", node_key=False, now=NOW)
    with pytest.raises(CoordinatorRefuses, match="no-member"):
        rotate_key(node)


def test_a_node_that_has_not_joined_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('schema = 1\nsite = "Ash"\n')
    with pytest.raises(SettingsError, match="no coordinator"):
        rotate_key(tmp_path)
