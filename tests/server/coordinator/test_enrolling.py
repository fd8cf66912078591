"""Joining, changing a key, asking: what holds is granted once, all else is refused."""

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.certificates import NodeKey
from common.crypto import SigningKey, fresh_key
from common.enrolment import RECEIPT, Application, Receipt
from common.errors import CryptoError, InvalidMessage, SettingsError
from server.coordinator import enrolling
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.registry import open_book
from tests.coordinating import HOUR, invited, tampered, ward

NOW = time.time()


def refused(code: str) -> "pytest.RaisesExc[InvalidMessage]":
    return pytest.raises(InvalidMessage, check=lambda error: error.code == code)


def test_a_hospital_joins_and_its_receipt_is_signed(folder: CoordinatorFolder) -> None:
    ash, code = ward(), invited(folder)
    done = enrolling.join(folder, ash.application(code), now=NOW)
    said = enrolling.receipt(folder, done)
    said.check(folder.signer().public, RECEIPT)
    receipt = Receipt.read(said.statement)
    assert (receipt.site, receipt.request, receipt.registered) == ("Ash", done.request, False)
    with open_book(folder.registry) as book:
        assert [site.name for site in book.sites()] == ["Ash"]
        assert book.nodes()[0].public == ash.node.public


def test_nothing_of_the_secret_is_kept(folder: CoordinatorFolder) -> None:
    code = invited(folder)
    enrolling.join(folder, ward().application(code), now=NOW)
    kept = folder.registry.read_bytes()
    assert code.secret not in kept
    assert code.secret.hex().encode() not in kept


def test_a_secret_serves_once(folder: CoordinatorFolder) -> None:
    code = invited(folder)
    enrolling.join(folder, ward().application(code), now=NOW)
    with refused("used-invitation"):
        enrolling.join(folder, ward().application(code), now=NOW)


def test_of_many_who_use_one_secret_at_once_one_joins(
    folder: CoordinatorFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, outcomes = invited(folder), list[str]()
    texts = [ward().application(code) for _ in range(8)]
    together, check = threading.Barrier(len(texts)), vars(enrolling)["_check_invitation"]

    def slow(*given: object) -> None:
        check(*given)
        time.sleep(0.02)  # time for the others to find the secret unused as well

    def attempt(text: str) -> None:
        together.wait(timeout=10)
        try:
            enrolling.join(folder, text, now=NOW)
            outcomes.append("joined")
        except InvalidMessage as error:
            outcomes.append(error.code)

    monkeypatch.setattr(enrolling, "_check_invitation", slow)
    threads = [threading.Thread(target=attempt, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["joined"] + ["used-invitation"] * 7


def test_a_lost_answer_may_be_asked_for_again(folder: CoordinatorFolder) -> None:
    text = ward().application(invited(folder))
    first = enrolling.join(folder, text, now=NOW)
    assert enrolling.join(folder, text, now=NOW + 10 * HOUR) == first
    revoke(folder, "Ash", node_key=False, now=NOW)
    with refused("used-invitation"):
        enrolling.join(folder, text, now=NOW)


def test_an_invitation_ends(folder: CoordinatorFolder) -> None:
    code = invited(folder, now=NOW)
    with refused("expired-invitation"):
        enrolling.join(folder, ward().application(code), now=NOW + HOUR)
    enrolling.join(folder, ward().application(code), now=NOW + HOUR - 2)


def test_a_revoked_invitation_and_a_guessed_secret_are_refused(folder: CoordinatorFolder) -> None:
    code = invited(folder)
    revoke(folder, "Ash", node_key=False, now=NOW)
    with refused("revoked-invitation"):
        enrolling.join(folder, ward().application(code), now=NOW)
    guess = code._replace(secret=bytes(20))
    with refused("unknown-invitation"):
        enrolling.join(folder, ward().application(guess), now=NOW)


def test_a_name_is_the_invited_ones(folder: CoordinatorFolder) -> None:
    with refused("wrong-site"):
        enrolling.join(folder, ward("Elm").application(invited(folder)), now=NOW)


def test_a_proof_is_of_these_keys_this_secret_and_this_coordinator(
    folder: CoordinatorFolder,
) -> None:
    code, other = invited(folder), ward()
    text = ward().application(code)
    for changed in (
        tampered(text, identity=other.identity.public.hex()),
        tampered(text, node=other.node.public),
        tampered(text, site="Elm"),
    ):
        with pytest.raises(CryptoError):
            enrolling.join(folder, changed, now=NOW)
    second = Application.read(text).model_copy(update={"secret": invited(folder).secret.hex()})
    with refused("wrong-proof"):
        enrolling.join(folder, second.text, now=NOW)
    with refused("wrong-coordinator"):
        enrolling.join(folder, ward().application(code, authority="00" * 32), now=NOW)
    enrolling.join(folder, text, now=NOW)  # none of them has used the secret up


def test_a_name_or_an_identity_in_use_is_not_taken_over(folder: CoordinatorFolder) -> None:
    ash = ward()
    enrolling.join(folder, ash.application(invited(folder)), now=NOW)
    with refused("name-in-use"):
        enrolling.join(folder, ward().application(invited(folder)), now=NOW)
    elm = ash._replace(name="Elm", node=NodeKey.new())
    with refused("identity-in-use"):
        enrolling.join(folder, elm.application(invited(folder, "Elm")), now=NOW)
    birch = ward("Birch")._replace(node=ash.node)
    with refused("key-in-use"):
        enrolling.join(folder, birch.application(invited(folder, "Birch")), now=NOW)


def test_a_key_is_changed_by_the_identity_and_the_old_one_never_comes_back(
    folder: CoordinatorFolder,
) -> None:
    ash, new = ward(), NodeKey.new()
    enrolling.join(folder, ash.application(invited(folder)), now=NOW)
    text = ash.rotation(folder.authority, new)
    first = enrolling.rotate(folder, text, now=NOW)
    assert enrolling.rotate(folder, text, now=NOW) == first
    with open_book(folder.registry) as book:
        assert {n.public: n.until is None for n in book.nodes()} == {
            ash.node.public: False,
            new.public: True,
        }
    enrolling.rotate(folder, ash.rotation(folder.authority, NodeKey.new(), old=new.public), now=NOW)
    with refused("stale-key"):
        enrolling.rotate(folder, text, now=NOW)


def test_only_the_member_itself_changes_its_key(folder: CoordinatorFolder) -> None:
    ash = ward()
    enrolling.join(folder, ash.application(invited(folder)), now=NOW)
    thief = ash._replace(identity=SigningKey(fresh_key()))
    with pytest.raises(CryptoError):
        enrolling.rotate(folder, thief.rotation(folder.authority, NodeKey.new()), now=NOW)
    revoke(folder, "Ash", node_key=False, now=NOW)
    with refused("no-member"):
        enrolling.rotate(folder, ash.rotation(folder.authority, NodeKey.new()), now=NOW)


def test_a_site_whose_node_key_alone_was_revoked_brings_another(folder: CoordinatorFolder) -> None:
    ash = ward()
    enrolling.join(folder, ash.application(invited(folder)), now=NOW)
    done = revoke(folder, "Ash", node_key=True, now=NOW)
    assert (done.node_key, done.site) == (True, False)
    enrolling.rotate(folder, ash.rotation(folder.authority, NodeKey.new()), now=NOW)


def test_a_revoked_site_joins_again_by_a_new_invitation(folder: CoordinatorFolder) -> None:
    enrolling.join(folder, ward().application(invited(folder)), now=NOW)
    revoke(folder, "Ash", node_key=False, now=NOW)
    enrolling.join(folder, ward().application(invited(folder)), now=NOW)
    with pytest.raises(SettingsError, match="nothing"):
        revoke(folder, "Elm", node_key=False, now=NOW)


def test_questions_are_answered_to_members_for_some_minutes(folder: CoordinatorFolder) -> None:
    ash = ward()
    enrolling.join(folder, ash.application(invited(folder)), now=NOW)
    ask = _asking(folder)
    assert ask(ash.question(folder.authority, "/enrol/study", asked=NOW), NOW) == "Ash"
    for header, now, code in (
        (ash.question(folder.authority, "/enrol/study", asked=NOW), NOW + HOUR, "stale-question"),
        (ash.question(folder.authority, "/enrol/roster", asked=NOW), NOW, "stale-question"),
        (ash.question("00" * 32, "/enrol/study", asked=NOW), NOW, "wrong-coordinator"),
        (ward("Elm").question(folder.authority, "/enrol/study", asked=NOW), NOW, "no-member"),
        (ward().question(folder.authority, "/enrol/study", asked=NOW), NOW, "bad-signature"),
    ):
        with refused(code):
            ask(header, now)


def _asking(folder: CoordinatorFolder) -> Callable[[dict[str, str], float], str]:
    from server.coordinator.service import _question

    return lambda header, now: enrolling.asker(
        folder, _question(header["authorization"]), "/enrol/study", now=now
    )


@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_whatever_arrives_is_refused_with_a_code(shared: CoordinatorFolder, text: str) -> None:
    for answer in (enrolling.join, enrolling.rotate):
        with pytest.raises(InvalidMessage):
            answer(shared, text, now=NOW)
    with pytest.raises(InvalidMessage):
        enrolling.asker(shared, text, "/enrol/study", now=NOW)


@given(data=st.data())
def test_an_application_with_a_byte_changed_is_refused(
    shared: CoordinatorFolder, data: st.DataObject
) -> None:
    if "text" not in _GOOD:
        _GOOD["text"] = ward().application(invited(shared))
    text = _GOOD["text"]
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(InvalidMessage):
            enrolling.join(shared, changed, now=NOW)


_GOOD: dict[str, str] = {}
