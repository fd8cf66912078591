"""A hospital's releases: debited first, secret, stored, and never twice for one price."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import client.books
import client.release
import client.site
from client.release import release
from client.site import Opened
from common.errors import PrivacyError
from common.messages import Instruction
from common.study import make_study
from tests.conftest import ward_settings
from tests.hospital import (
    Node,
    debits,
    debits_at_draws,
    hospital,
    open_node,
    reopen_node,
    state_of,
    ward,
)

PRIVACY = {"clip_norm": 0.5, "noise_multiplier": 5.0, "coin": 1.0, "delta": 1e-3}
ROUNDS = 3


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Ward Ash with 100 patients, in a robust study of 3 rounds that its ledger has reserved."""
    settings = ward_settings() | {
        "sites": [{"name": name, "patients": 90} for name in ("Ash", "Birch", "Cedar")],
        "server": {"rounds": ROUNDS},
        "privacy": PRIVACY | {"profile": "robust", "aggregation": "median"},
    }
    table = ward("Ash")
    return hospital(tmp_path / "ash", make_study(settings, where="test"), table, name="Ash")


def asked(opened: Opened, index: int, shift: float = 0.0) -> Instruction:
    theta = torch.cat([p.reshape(-1) for p in opened.learner.initial.values()])
    return Instruction(opened.study.id, index, theta + shift)


def test_a_release_is_paid_once_and_sent_again_for_nothing(node: Node) -> None:
    opened = open_node(node)
    first = release(opened, asked(opened, 1), run="1")
    again = release(opened, asked(opened, 1), run="1")
    assert torch.equal(first, again)
    assert debits(node, "gradient") == 1
    assert opened.site.slots == 90


def test_after_a_restart_the_stored_release_is_sent_and_the_ledger_goes_on(node: Node) -> None:
    opened = open_node(node)
    first = release(opened, asked(opened, 1), run="1")
    other = reopen_node(node)
    assert torch.equal(release(other, asked(other, 1), run="1"), first)
    release(other, asked(other, 2), run="1")
    assert debits(node, "gradient") == 2


def test_what_was_revealed_is_drawn_anew_and_paid_again(node: Node) -> None:
    opened = open_node(node)
    first = release(opened, asked(opened, 1), run="1")
    fresh = release(opened, asked(opened, 1), run="1", fresh=2)
    assert not torch.equal(first, fresh)
    assert debits(node, "gradient") == 2


def test_another_theta_for_a_round_is_refused(node: Node) -> None:
    opened = open_node(node)
    release(opened, asked(opened, 1), run="1")
    with pytest.raises(PrivacyError, match="another theta"):
        release(opened, asked(opened, 1, shift=1.0), run="1")
    assert debits(node, "gradient") == 1


def test_nothing_leaves_beyond_the_reserved_rounds(node: Node) -> None:
    opened = open_node(node)
    for index in range(1, ROUNDS + 1):
        release(opened, asked(opened, index), run="1")
    for run in ("1", "2"):
        with pytest.raises(PrivacyError):
            release(opened, asked(opened, ROUNDS + 1), run=run)
    assert debits(node, "gradient") == ROUNDS


def test_without_a_ledger_nothing_is_even_opened(node: Node) -> None:
    (state_of(node) / "ledger.jsonl").unlink()
    with pytest.raises(PrivacyError, match="ledger"):
        open_node(node)


def test_the_debit_is_on_the_disk_before_anything_is_drawn(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_node(node)
    seen = debits_at_draws(monkeypatch, client.release, node, "gradient")
    release(opened, asked(opened, 1), run="1")
    assert seen == [1]


def test_a_crash_after_the_debit_wastes_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_node(node)
    monkeypatch.setattr(client.books, "keep", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        release(opened, asked(opened, 1), run="1")
    monkeypatch.undo()
    release(opened, asked(opened, 1), run="1")
    assert debits(node, "gradient") == 2


def noise_of(opened: Opened, count: int, run: str) -> list[Tensor]:
    found = []
    for index in range(1, count + 1):
        found.append(release(opened, asked(opened, index), run=run))
    return found


def test_the_noise_of_two_rounds_and_of_a_restarted_site_has_nothing_in_common(
    node: Node, tmp_path: Path
) -> None:
    opened = open_node(node)
    one, two = noise_of(opened, 2, "1")
    # The same site with the same keys, its ledger and releases of another life.
    state = state_of(node)
    key = (state / "site.key").read_bytes()
    three = release(reopen_node(node), asked(opened, 3), run="1")
    assert (state / "site.key").read_bytes() == key
    bound = 5 / one.numel() ** 0.5
    for a, b in ((one, two), (one, three), (two, three)):
        together = torch.corrcoef(torch.stack([a, b]))[0, 1]
        assert abs(float(together)) < bound


KeyMutant = Callable[[], bytes]


def test_a_keyed_generator_in_deployment_would_be_seen(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.release, "fresh_key", lambda: bytes(32))
    opened = open_node(node)
    one, two = noise_of(opened, 2, "1")
    together: Any = torch.corrcoef(torch.stack([one, two]))[0, 1]
    assert float(together) > 0.9, "the test above sees a generator that repeats itself"
