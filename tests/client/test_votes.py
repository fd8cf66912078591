"""A hospital's votes: planned, debited, drawn, stored, sent; once for one price."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

import client.books
import client.site
import client.votes
from client.app import app
from client.site import Opened
from client.votes import release_votes
from common.errors import InvalidMessage, PrivacyError
from common.messages.votes import VOTES_TYPE, VotesRequest, read_votes, votes_request_content
from common.parameters import flatten
from common.privacy.histograms import CELLS
from common.study import make_study
from tests.conftest import ward_settings
from tests.hospital import Node, debits, debits_at_draws, hospital, open_node, reopen_node, ward

PRIVACY = {"clip_norm": 0.5, "noise_multiplier": 5.0, "coin": 1.0, "delta": 1e-3}
ROBUST = PRIVACY | {"profile": "robust", "aggregation": "median"}
RELEASES = 3


def table() -> pd.DataFrame:
    return ward("Ash")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Node]:
    """Ward Ash with 100 patients in 90 slots, in a study that it has approved."""

    def node(*, limits: dict[str, Any] | None = None, **privacy: Any) -> Node:
        classes = {"gout": [45, 45], "anaemia": [45, 45]}
        sites = [{"name": n, "patients": 90, "classes": classes} for n in ("Ash", "Birch", "Fir")]
        settings = ward_settings() | {
            "sites": [*sites, {"name": "Elm", "patients": 90, "classes": {"gout": [45, 45]}}],
            "server": {"rounds": 3},
            "privacy": privacy,
            "evaluation": {"metric_releases": RELEASES},
        }
        study = make_study(settings, where="test")
        return hospital(tmp_path / "ash", study, table(), name="Ash", **(limits or {}))

    return node


@pytest.fixture
def node(make: Callable[..., Node]) -> Node:
    return make(**ROBUST)


def asked(opened: Opened, release: int, task: str, shift: float = 0.0) -> VotesRequest:
    theta = flatten(opened.learner.initial) + shift
    return VotesRequest(opened.study.id, release, task, theta)


def test_votes_are_paid_once_and_sent_again_for_nothing_also_after_a_restart(node: Node) -> None:
    opened = open_node(node)
    first = release_votes(opened, asked(opened, 1, "gout"))
    second = release_votes(opened, asked(opened, 2, "anaemia"))
    for here in (opened, reopen_node(node)):
        assert np.array_equal(release_votes(here, asked(here, 1, "gout")), first)
        assert np.array_equal(release_votes(here, asked(here, 2, "anaemia")), second)
    assert first.dtype == np.int64
    assert (first.shape, debits(node, "metric")) == ((CELLS,), 2)
    # Of 90 patients in slots each has one vote; the sum of 20 noises of 10 has 45.
    assert abs(first.sum() - 90) < 4.5 * 45
    assert not np.array_equal(first, second)


def test_another_theta_for_a_release_is_refused_by_whatever_run(node: Node) -> None:
    opened = open_node(node)
    release_votes(opened, asked(opened, 1, "gout"))
    for fresh in (0, 1):
        with pytest.raises(PrivacyError, match="another theta"):
            release_votes(opened, asked(opened, 1, "gout", shift=1.0), fresh=fresh)
    assert debits(node, "metric") == 1


@pytest.mark.parametrize(("release", "task"), [(1, "anaemia"), (2, "gout"), (3, "gout"), (0, "x")])
def test_what_the_study_does_not_plan_is_refused_before_any_debit(
    release: int, task: str, node: Node
) -> None:
    opened = open_node(node)
    release_votes(opened, asked(opened, 1, "gout"))
    with pytest.raises(InvalidMessage) as refusal:
        release_votes(opened, asked(opened, release, task))
    assert refusal.value.code == "wrong-ballot"
    assert debits(node, "metric") == 1


def test_a_site_votes_only_on_tasks_whose_classes_it_has_declared(node: Node) -> None:
    opened = open_node(node)
    elsewhere = opened._replace(site=opened.site.__class__("Elm", b"", opened.site.tasks, 90))
    with pytest.raises(InvalidMessage):
        release_votes(elsewhere, asked(opened, 2, "anaemia"))


def test_nothing_leaves_beyond_the_reserved_releases(node: Node) -> None:
    opened = open_node(node)
    for fresh in range(RELEASES):
        release_votes(opened, asked(opened, 1, "gout"), fresh=fresh)
    with pytest.raises(PrivacyError, match="all 3 metric releases"):
        release_votes(opened, asked(opened, 2, "anaemia"))
    assert debits(node, "metric") == RELEASES


def test_the_debit_is_on_the_disk_before_anything_is_drawn_and_the_votes_before_they_leave(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_node(node)
    seen = debits_at_draws(monkeypatch, client.votes, node, "metric")
    monkeypatch.setattr(client.books, "keep", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        release_votes(opened, asked(opened, 1, "gout"))
    assert seen == [1]
    monkeypatch.undo()
    release_votes(opened, asked(opened, 1, "gout"))
    assert debits(node, "metric") == 2  # the crash has wasted one, and gained nothing


def test_the_noise_is_fresh_for_every_release(node: Node) -> None:
    opened = open_node(node)
    drawn = [release_votes(opened, asked(opened, 1, "gout"), fresh=i) for i in range(RELEASES)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        # sqrt(2) 10 of 20 counts: between 7 and 24 but for one time in 10^5.
        assert 7 < (drawn[one] - drawn[two]).std() < 24


def ask(content: RecordDict, node: Node) -> Message:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    config = dict(node)
    here = Context(run_id=1, node_id=1, node_config=config, state=RecordDict(), run_config={})
    message = Message(content, 1, VOTES_TYPE)
    message.metadata.__dict__["_message_id"] = "m"
    return app(message, here)


def test_the_message_brings_the_histogram_and_nothing_else(node: Node) -> None:
    opened = open_node(node)
    request = asked(opened, 1, "gout")
    reply = ask(votes_request_content(request), node)
    counts = read_votes(reply.content, request=request)
    assert np.array_equal(counts, release_votes(opened, request))
    assert ask(RecordDict(), node).error.reason == "not-approved"
    other = VotesRequest(opened.study.id, 2, "gout", request.theta)
    assert ask(votes_request_content(other), node).error.reason == "wrong-ballot"


def test_a_masked_study_is_never_answered_without_masks(make: Callable[..., Node]) -> None:
    node = make(profile="masked", **PRIVACY)
    opened = open_node(node)
    content = votes_request_content(asked(opened, 1, "gout"))
    assert ask(content, node).error.reason == "wrong-profile"
    assert debits(node, "metric") == 0


def test_a_study_without_protection_has_noise_on_its_votes_all_the_same(
    make: Callable[..., Node],
) -> None:
    node = make()
    request = asked(open_node(node), 1, "gout")
    first, second = (ask(votes_request_content(request), node) for _ in range(2))
    counts = [read_votes(r.content, request=request) for r in (first, second)]
    assert np.array_equal(counts[0], counts[1])
    assert (counts[0] < 0).any()


def test_a_hospital_that_lets_no_metrics_out_approves_no_study_that_plans_them(
    make: Callable[..., Node],
) -> None:
    with pytest.raises(PrivacyError, match=r"limits\.metrics is false"):
        make(limits={"metrics": False}, **ROBUST)


def test_a_hospital_that_changes_its_mind_about_metrics_sends_none(
    make: Callable[..., Node],
) -> None:
    node = make(**ROBUST)
    content = votes_request_content(asked(open_node(node), 1, "gout"))
    path = Path(str(node["node"])) / "site.toml"
    path.write_text(path.read_text().replace("metrics = true", "metrics = false"))
    assert ask(content, node).error.reason == "metric-not-allowed"
    assert debits(node, "metric") == 0
