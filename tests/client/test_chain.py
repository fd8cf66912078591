"""Damage of every kind to a ledger's file, and whom it is shown to: whoever opens or uses it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.ledger import Ledger
from client.lines import LEDGER_BOOK, digest
from common.crypto import fresh_key
from common.errors import PrivacyError
from common.privacy.cost import StudyCost
from tests.client.ledgers import IDENTITY, again, ledger_with, lines_of, now, pay, put


@pytest.mark.usefixtures("used")
def test_each_line_names_the_raw_line_before_it_and_the_anchor_names_the_last(
    tmp_path: Path,
) -> None:
    lines = lines_of(tmp_path)
    records = [json.loads(line) for line in lines]
    assert [r["kind"] for r in records] == ["open", "reserve", *["gradient"] * 3]
    for before, record in zip(lines, records[1:], strict=False):
        assert record["prev"] == digest(before.rstrip(b"\n"))
    anchor = json.loads((tmp_path / LEDGER_BOOK.anchor).read_bytes())
    assert anchor == {"seq": 5, "digest": digest(lines[-1].rstrip(b"\n"))}
    assert all(
        (tmp_path / name).stat().st_mode & 0o077 == 0
        for name in (LEDGER_BOOK.file, LEDGER_BOOK.anchor)
    )


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], lines[4]]


def edited(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def edit(lines: list[bytes]) -> list[bytes]:
        assert old in lines[number - 1]
        return [
            *lines[: number - 1],
            lines[number - 1].replace(old, new, 1),
            *lines[number:],
        ]

    return edit


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "the cap was raised": (edited(1, b'"epsilon":10.0', b'"epsilon":99.0'), 1),
    "a debit was moved to another study": (edited(3, b'"study":"', b'"study":"0'), 3),
    "the last line was edited": (edited(5, b'"round":2', b'"round":3'), 5),
    "a blank, of which JSON knows nothing": (edited(4, b'"kind"', b' "kind"'), 4),
    "the signature was altered": (edited(4, b'"sig":"', b'"sig":"0'), 4),
    "a debit was taken out": (lambda lines: [*lines[:3], *lines[4:]], 4),
    "two debits changed places": (swapped, 3),
    "a debit was written twice": (lambda lines: [*lines, lines[-1]], 6),
    "the last line was taken out": (lambda lines: lines[:-1], 5),
    "nothing is left": (lambda _: [], 5),
    "the first line was taken out": (lambda lines: lines[1:], 1),
    "a line of another hand": (lambda lines: [*lines, b'{"kind":"open"}\n'], 6),
    "an empty line": (lambda lines: [*lines, b"\n"], 6),
    "the newline of an inner line is gone": (lambda lines: [lines[0][:-1], *lines[1:]], 1),
    "a torn record of another hand": (lambda lines: [*lines, b"x\x1e" + lines[-1]], 6),
}


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_and_the_line_is_named(tmp_path: Path, damage: str) -> None:
    change, line = DAMAGE[damage]
    put(tmp_path, change(lines_of(tmp_path)))
    before = (tmp_path / LEDGER_BOOK.file).read_bytes()
    with pytest.raises(PrivacyError, match=rf"line {line}\)"):
        again(tmp_path)
    assert (tmp_path / LEDGER_BOOK.file).read_bytes() == before


@pytest.mark.usefixtures("used")
def test_a_line_of_another_ledger_of_the_same_site_does_not_fit(
    tmp_path: Path, cost: StudyCost
) -> None:
    (tmp_path / "other").mkdir()
    pay(ledger_with(tmp_path / "other", cost, cap=9.0), cost)
    put(tmp_path, [*lines_of(tmp_path)[:2], *lines_of(tmp_path / "other")[2:]])
    with pytest.raises(PrivacyError, match=r"chain is broken before it .*line 3\)"):
        again(tmp_path)


def test_a_debit_is_on_the_disk_before_it_is_anchored_and_before_anything_else(
    tmp_path: Path, used: Ledger, cost: StudyCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    ledger = (tmp_path / LEDGER_BOOK.file).stat().st_ino

    def spied(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def spy(descriptor: int, *rest: bytes) -> Any:
            inode = os.fstat(descriptor).st_ino
            calls.append(f"{name} {'ledger' if inode == ledger else 'other'}")
            return call(descriptor, *rest)

        return spy

    monkeypatch.setattr("os.write", spied("write", os.write))
    monkeypatch.setattr("os.fsync", spied("fsync", os.fsync))
    pay(used, cost, 3)
    # The anchor's temporary file and then its folder follow; it is written through a Python file.
    assert calls == ["write ledger", "fsync ledger", "fsync other", "fsync other"]


@pytest.mark.usefixtures("used")
def test_an_anchor_that_a_crash_left_behind_is_renewed(tmp_path: Path) -> None:
    lines = lines_of(tmp_path)
    anchor = {"seq": 4, "digest": digest(lines[3][:-1])}
    (tmp_path / LEDGER_BOOK.anchor).write_text(json.dumps(anchor))
    again(tmp_path)
    put(tmp_path, lines[:4])
    with pytest.raises(PrivacyError, match=r"anchored \(.*line 5\)"):
        again(tmp_path)


def test_a_ledger_in_use_notices_that_it_was_rolled_back(
    tmp_path: Path, used: Ledger, cost: StudyCost
) -> None:
    lines = lines_of(tmp_path)
    for damage in (
        lines[:1],
        lines[:-1],
        [*lines[:-1], lines[-1].replace(b'"round":2', b'"round":3')],
    ):
        put(tmp_path, damage)
        with pytest.raises(PrivacyError, match=r"line 5\)"):
            pay(used, cost, 3)
    put(tmp_path, lines)
    assert pay(used, cost, 3) == 6


@pytest.mark.usefixtures("used")
def test_a_ledger_is_missing_for_a_known_identity_and_none_is_made_in_its_place(
    tmp_path: Path, cost: StudyCost
) -> None:
    (tmp_path / LEDGER_BOOK.file).unlink()
    with pytest.raises(PrivacyError, match="ledger is missing"):
        again(tmp_path)
    with pytest.raises(PrivacyError, match="begun here already"):
        Ledger.create(tmp_path, IDENTITY, now)
    assert not (tmp_path / LEDGER_BOOK.file).exists()


def test_before_a_ledger_is_made_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match=r"missing .*line 1\): .*node budget"):
        again(tmp_path)
    Ledger.create(tmp_path, IDENTITY, now)
    with pytest.raises(PrivacyError, match="begun here already"):
        Ledger.create(tmp_path, IDENTITY, now)
    assert again(tmp_path).cohorts == ()


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("anchor", [None, b"", b"[]", b'{"seq": "x", "digest": ""}'])
def test_without_its_anchor_a_ledger_is_not_trusted(tmp_path: Path, anchor: bytes | None) -> None:
    (tmp_path / LEDGER_BOOK.anchor).unlink()
    if anchor is not None:
        (tmp_path / LEDGER_BOOK.anchor).write_bytes(anchor)
    with pytest.raises(PrivacyError, match="anchor is missing or unreadable"):
        again(tmp_path)


@pytest.mark.usefixtures("used")
def test_another_identity_cannot_go_on_with_it(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match=r"another site signed it .*line 1\)"):
        Ledger.open(tmp_path, fresh_key(), now)


def test_a_clock_that_was_set_back_is_refused(
    tmp_path: Path, used: Ledger, cost: StudyCost
) -> None:
    with pytest.raises(PrivacyError, match=r"clock stands 10 s before .*line 5\)"):
        again(tmp_path, lambda: now() - 10)
    times = iter([now() + 60, now() + 60, now() + 60, now() + 59])
    drifting = again(tmp_path, lambda: next(times))
    pay(drifting, cost, 3)
    with pytest.raises(PrivacyError, match=r"clock stands 1 s before .*line 6\)"):
        pay(drifting, cost, 4)
