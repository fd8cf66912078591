"""A site that dies at any instant may waste a debit; it never sends what nobody paid for."""

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from common.errors import PrivacyError
from common.privacy.cost import StudyCost
from tests.client.crash import opened, program, release, sent
from tests.client.ledgers import about, cost_of, ledger_with


def begun(folder: Path, rounds: int) -> tuple[StudyCost, dict[str, Any]]:
    cost = cost_of(rounds=rounds)
    folder.mkdir()
    ledger_with(folder, cost, cap=100)
    return cost, about(cost)


def results(command: str, folder: Path, given: dict[str, Any]) -> list[dict[str, int]]:
    out, _ = program(command, str(folder), json.dumps(given)).communicate(timeout=120)
    return json.loads(out)  # type: ignore[no-any-return]


def test_a_kill_before_any_line_of_a_release_never_gains_one(tmp_path: Path) -> None:
    _, given = begun(tmp_path / "site", 10)
    found = results("sweep", tmp_path / "site", given)
    assert len(found) > 150  # lines between being asked and having sent
    for one in found:
        assert one["sent"] <= one["debits"] <= 2, one
        assert one["sent"] == 1, "asked again, the site sends what it sent, if it did"
    outcomes = Counter((one["sent_at_once"], one["debits"]) for one in found)
    assert outcomes[0, 1] > 20  # before the debit, or between storing and sending
    assert outcomes[0, 2] > 10  # a debit was wasted
    assert outcomes[1, 1] >= 1  # all done


def test_a_kill_within_the_writing_of_a_debit_wastes_it(tmp_path: Path) -> None:
    _, given = begun(tmp_path / "site", 10)
    found = results("tear", tmp_path / "site", given)
    assert not any(one["lived"] or one["sent_at_once"] for one in found)
    assert [one["debits"] for one in found] == [1, *[2] * (len(found) - 1)]
    assert {one["sent"] for one in found} == {1}


def test_a_site_that_is_killed_again_and_again_stops_at_the_cap(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    cost, given = begun(folder, 40)
    rng, start, kills = random.Random(0), 0, 0
    while True:
        process = program("go-on", str(folder), json.dumps(given | {"from": start}))
        enough = sent(folder) + rng.randrange(1, 9)
        while process.poll() is None and sent(folder) < enough:
            time.sleep(rng.random() / 500)
        process.kill()
        said = process.communicate()[1]
        assert sent(folder) <= opened(folder, given).debits(cost.study, "gradient") <= 40
        if "all 40 gradient releases" in said:
            break
        start, kills = start + rng.randrange(9), kills + 1
    assert kills >= 3
    with pytest.raises(PrivacyError, match="all 40 gradient releases"):
        release(folder, given, 9_999)
    assert sent(folder) <= opened(folder, given).debits(cost.study, "gradient") == 40
