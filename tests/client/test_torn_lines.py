"""A debit whose writing was cut off counts in full, and the ledger goes on."""

import json
import os
from pathlib import Path

import pytest

from client.ledger import Ledger
from client.lines import LEDGER_BOOK, digest
from common.errors import PrivacyError
from common.privacy.cost import StudyCost
from tests.client.ledgers import again, cost_of, ledger_with, lines_of, pay, put


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_a_torn_last_line_is_one_full_debit_and_the_ledger_goes_on(
    tmp_path: Path, used: Ledger, cost: StudyCost, share: float
) -> None:
    *whole, last = lines_of(tmp_path)
    torn = last[: max(1, int(share * (len(last) - 1)))]
    anchor = {"seq": 4, "digest": digest(whole[-1][:-1])}
    (tmp_path / LEDGER_BOOK.anchor).write_text(json.dumps(anchor))  # as a crash leaves it
    put(tmp_path, [*whole, torn])
    mended = again(tmp_path)
    assert mended.debits(cost.study, "gradient") == 3
    assert lines_of(tmp_path)[4].startswith(torn + b"\x1e{")
    assert mended.head.seq == 5
    pay(mended, cost, 3)
    assert again(tmp_path).debits(cost.study, "gradient") == 4


def test_a_torn_line_counts_against_every_open_reservation_and_never_beyond_it(
    tmp_path: Path,
) -> None:
    one, two, full = cost_of("one", 3, releases=2), cost_of("two", 3), cost_of("full", 1)
    ledger = ledger_with(tmp_path, one, two, full)
    pay(ledger, full)
    for _ in range(2):
        with (tmp_path / LEDGER_BOOK.file).open("ab") as file:
            file.write(b'{"kind":"gra')
        ledger = again(tmp_path)
    assert [ledger.debits(c.study, "gradient") for c in (one, two, full)] == [2, 2, 1]
    assert ledger.debits(one.study, "metric") == 2
    assert ledger.balance("2025").spent <= ledger.balance("2025").reserved


def test_mending_a_torn_line_may_itself_be_cut_off(
    tmp_path: Path, used: Ledger, cost: StudyCost
) -> None:
    for _ in range(3):
        with (tmp_path / LEDGER_BOOK.file).open("ab") as file:
            file.write(b'abc\x1e{"torn":')
    assert again(tmp_path).debits(cost.study, "gradient") == 4
    altered = (tmp_path / LEDGER_BOOK.file).read_bytes().replace(b"abc\x1e", b"abd\x1e", 1)
    (tmp_path / LEDGER_BOOK.file).write_bytes(altered)
    with pytest.raises(PrivacyError, match=r"torn record were altered .*line 6\)"):
        again(tmp_path)


def test_a_write_that_fails_is_a_debit_and_an_error(
    tmp_path: Path, used: Ledger, cost: StudyCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full_disk(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:50])

    def bad_anchor(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("client.chain.os.write", full_disk)
        with pytest.raises(OSError, match="No space"):
            pay(used, cost, 3)
    assert used.debits(cost.study, "gradient") == 4
    with monkeypatch.context() as patch:
        patch.setattr("client.chain.write_anchor", bad_anchor)
        with pytest.raises(OSError, match="Input"):
            pay(used, cost, 4)
    assert used.debits(cost.study, "gradient") == 5
    assert again(tmp_path).debits(cost.study, "gradient") == 5


def test_an_interrupted_call_leaves_no_ledger_that_counts_too_little(
    tmp_path: Path, used: Ledger, cost: StudyCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("client.account.Account.add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pay(used, cost, 3)
    for use in (lambda: pay(used, cost, 4), lambda: used.balance("2025")):
        with pytest.raises(PrivacyError, match=r"written and not counted \(.*line 6\)"):
            use()
    assert again(tmp_path).debits(cost.study, "gradient") == 4
