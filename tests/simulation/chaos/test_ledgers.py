"""Books are read without being touched, and what they do not pay for is found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from client.gate.audit import SENT, AuditLog
from client.lines import AUDIT_BOOK, LEDGER_BOOK, Line
from common.privacy.cost import gradient_parameters
from simulation.chaos.ledgers import RELEASES, broken_books, read_book, undercounted
from tests.client.ledgers import IDENTITY, THETA, cost_of, ledger_with

KNOWN = [(1, THETA), (2, THETA)]
UPDATE, INPUT = RELEASES


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A hospital's folder whose ledger has debits for rounds 1 and 2 of run 7."""
    cost = cost_of(rounds=4)
    ledger = ledger_with(tmp_path, cost, cap=100)
    (tmp_path / "identity.key").write_bytes(IDENTITY)
    (tmp_path / "identity.key").chmod(0o600)
    for index, theta in KNOWN:
        ledger.debit(
            "gradient",
            study=cost.study,
            run="7",
            round_index=index,
            theta_sha256=theta,
            parameters=gradient_parameters(cost.gradients, cost.clip_norm),
        )
    return tmp_path


def passed(kind: str, message: str, digest: str, run: str = "7") -> Line:
    record: dict[str, Any] = {"kind": kind, "message": message, "sha256": digest, "run": run}
    return Line(1, "", record)


def test_a_ledger_with_a_debit_for_each_release_is_whole(state: Path) -> None:
    audit = [passed("sent", UPDATE, "a"), passed("sent", UPDATE, "b"), passed("sent", UPDATE, "a")]
    debits = read_book(state, LEDGER_BOOK)
    assert not undercounted(debits, audit, KNOWN, masked=False)


def test_a_release_that_the_coordinator_has_and_nobody_paid_for_is_found(state: Path) -> None:
    debits = read_book(state, LEDGER_BOOK)
    assert "round 3" in undercounted(debits, [], [*KNOWN, (3, THETA)], masked=False)
    assert "round 2" in undercounted(debits, [], [(2, "cd" * 32)], masked=False)
    assert "round 2" in undercounted(debits[:-1], [], KNOWN, masked=True)


def test_more_that_was_sent_than_debited_is_found(state: Path) -> None:
    debits = read_book(state, LEDGER_BOOK)
    three = [passed("sent", UPDATE, digest) for digest in "abc"]
    assert "3 releases were sent in run 7, 2 debited" in undercounted(
        debits, three, [], masked=False
    )
    assert not undercounted(debits, [*three[:2], passed("refused", UPDATE, "d")], [], masked=False)


def test_under_masks_other_bytes_are_no_other_release_but_another_run_is(state: Path) -> None:
    debits = read_book(state, LEDGER_BOOK)
    assert not undercounted(debits, [passed("sent", INPUT, x) for x in "abc"], KNOWN, masked=True)
    other = [passed("sent", INPUT, "a", run="8")]
    assert "in run 8, 0 debited" in undercounted(debits, other, KNOWN, masked=True)


def test_reading_verifies_changes_nothing_and_asks_no_clock(state: Path) -> None:
    AuditLog.open(state, lambda: 3e9).note(SENT, {"message": UPDATE})  # a clock far ahead
    path = state / LEDGER_BOOK.file
    path.write_bytes(path.read_bytes() + b'{"torn')
    before = {p.name: p.read_bytes() for p in state.iterdir()}
    assert read_book(state, LEDGER_BOOK)[-1].record["kind"] == "torn"
    assert [line.record["kind"] for line in read_book(state, AUDIT_BOOK)] == ["sent"]
    assert {p.name: p.read_bytes() for p in state.iterdir()} == before


def test_a_book_that_was_cut_is_broken(state: Path) -> None:
    assert not broken_books({"ash": state})
    path = state / LEDGER_BOOK.file
    shutil.copy(path, state / "copy")
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-2]) + b"\n")
    assert broken_books({"ash": state}).startswith("ash: ")
