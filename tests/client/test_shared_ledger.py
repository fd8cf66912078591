"""Several processes use one ledger in turn."""

import json
from pathlib import Path

import pytest

from client.chain import Chain
from client.ledger import Ledger
from common.errors import PrivacyError
from common.privacy.cost import StudyCost
from tests.client.crash import program
from tests.client.ledgers import IDENTITY, about, again, cost_of, ledger_with, now, pay


def test_a_process_that_keeps_the_ledger_is_not_waited_for_forever(
    tmp_path: Path, used: Ledger, cost: StudyCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.chain._PATIENCE_S", 0.05)
    other, _ = Chain.open(tmp_path, IDENTITY, now)
    with other.locked(), pytest.raises(PrivacyError, match=r"another process .*line 6\)"):
        pay(used, cost, 3)
    assert pay(used, cost, 3) == 6


def test_processes_that_share_a_ledger_never_spend_more_than_was_reserved(tmp_path: Path) -> None:
    cost = cost_of(rounds=90)
    ledger = ledger_with(tmp_path, cost)
    given = [json.dumps(about(cost) | {"run": f"run-{i}"}) for i in range(2)]
    started = [program("spend", str(tmp_path), each) for each in given]
    paid = [int(process.communicate(timeout=60)[0]) for process in started]
    assert sum(paid) == 90
    assert ledger.debits(cost.study, "gradient") == 90  # it has read what the others added
    assert again(tmp_path).head.seq == 92
