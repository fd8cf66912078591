"""metrics.json: what is asked, what is kept, what is missing, and that training is never lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.learner import make_learner
from common.privacy.ballots import Ballot
from common.privacy.histograms import BINS, CELLS, Integers
from common.study import Study, make_study
from server.metrics import METRICS_FILE, measure
from server.run import Assembled, RunOptions, run_study
from server.state import INITIALIZATION_FILE, Checkpoint, ServerState, first_state
from server.votes import Tally, fewest
from tests.conftest import ward_settings

NAMES = ("Ash", "Birch", "Cedar", "Elm")


def study_of(releases: int = 2, **classes: list[int]) -> Study:
    sizes = classes or {"gout": [1500, 900], "anaemia": [1600, 800]}
    sites = [{"name": n, "patients": 2400, "classes": sizes} for n in NAMES]
    measured = {"evaluation": {"metric_releases": releases}}
    return make_study(ward_settings() | {"sites": sites} | measured, where="test")


def histogram(sites: int) -> Integers:
    """Positives mostly above negatives."""
    shape = np.array([np.arange(BINS, 0, -1), np.arange(1, BINS + 1)]) * 40 * sites
    return shape.reshape(CELLS).astype(np.int64)


class Booth:
    """Answers with a histogram of all sites but those that are out; remembers what it was asked."""

    def __init__(self, **out: tuple[str, ...]) -> None:
        self.out, self.asked = dict(out), list[tuple[int, str]]()

    def __call__(self, state: ServerState, ballot: Ballot) -> Tally:
        self.asked.append((ballot.release, ballot.task))
        out = self.out.get(ballot.task, ())
        there = tuple(name for name in ballot.declared if name not in out)
        return Tally(histogram(len(there)), there, dict.fromkeys(out, "deadline"))


def state_of(study: Study) -> ServerState:
    return first_state(study, make_learner(study, seed=0))


def written(folder: Path) -> dict[str, Any]:
    return json.loads((folder / METRICS_FILE).read_text())  # type: ignore[no-any-return]


def test_every_planned_task_is_measured_with_its_error(tmp_path: Path) -> None:
    study, booth = study_of(), Booth(anaemia=("Elm",))
    about = measure(study, state_of(study), booth, tmp_path)
    assert about == written(tmp_path)
    assert booth.asked == [(1, "gout"), (2, "anaemia")]
    gout, anaemia = about["tasks"]["gout"], about["tasks"]["anaemia"]
    # sum over i < j of (10 - i)(j + 1), and half of those with i = j, over 55 squared.
    pairs = sum((10 - i) * (j + 1) * (i < j or (i == j) / 2) for i in range(10) for j in range(10))
    assert gout["estimates"]["auroc"]["value"] == pytest.approx(pairs / 55**2)
    assert 0 < gout["estimates"]["auroc"]["standard_error"] < 0.02
    assert set(gout["estimates"]) == {"auroc", "brier", "ece"}
    assert len(gout["calibration"]) == BINS
    assert gout["informative"]
    assert (gout["sites"], anaemia["sites"]) == (list(NAMES), list(NAMES[:3]))
    assert anaemia["dropped"] == {"Elm": "deadline"}
    assert about["std"] == 10.0
    for words in ("without adaptation", "may have taken part in training"):
        assert words in about["note"]


def test_what_is_declared_too_small_is_never_asked_for(tmp_path: Path) -> None:
    study, booth = study_of(gout=[1500, 9], anaemia=[1600, 800]), Booth()
    about = measure(study, state_of(study), booth, tmp_path)
    assert booth.asked == [(1, "anaemia")]
    assert "fewer than 10" in about["refused"]["gout"]
    assert list(about["tasks"]) == ["anaemia"]


def test_a_task_is_asked_for_as_often_as_a_round_and_no_later_one_before_it(tmp_path: Path) -> None:
    study, booth = study_of(), Booth(gout=("Ash", "Elm"))
    about = measure(study, state_of(study), booth, tmp_path)
    assert booth.asked == [(1, "gout")] * study.server.attempts
    assert not about["tasks"]
    assert "2 of 4 sites voted, 3 are needed; the others: deadline" in about["missing"]["gout"]
    assert "earlier one is missing" in about["missing"]["anaemia"]
    booth.out, booth.asked = {}, []
    about = measure(study, state_of(study), booth, tmp_path)  # as when the run is resumed
    assert booth.asked == [(1, "gout"), (2, "anaemia")]
    assert not about["missing"]


def test_a_sum_that_cannot_be_true_is_not_asked_for_again(tmp_path: Path) -> None:
    asked = list[str]()

    def lied_to(state: ServerState, ballot: Ballot) -> Tally:
        asked.append(ballot.task)
        return Tally(histogram(0), (), dict.fromkeys(NAMES, "implausible-votes"))

    about = measure(study_of(), state_of(study_of()), lied_to, tmp_path)
    assert asked == ["gout"]
    assert "implausible-votes" in about["missing"]["gout"]


def test_a_restart_asks_only_for_what_it_lacks(tmp_path: Path) -> None:
    study, booth = study_of(), Booth(anaemia=NAMES)
    measure(study, state_of(study), booth, tmp_path)
    again = Booth()
    about = measure(study, state_of(study), again, tmp_path)
    assert again.asked == [(2, "anaemia")]
    assert list(about["tasks"]) == ["gout", "anaemia"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 1}'])
def test_a_damaged_file_is_made_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / METRICS_FILE).write_text(text)
    study, booth = study_of(), Booth()
    assert list(measure(study, state_of(study), booth, tmp_path)["tasks"]) == ["gout", "anaemia"]


def test_another_theta_is_measured_anew(tmp_path: Path) -> None:
    study = study_of()
    measure(study, state_of(study), Booth(), tmp_path)
    other, booth = first_state(study, make_learner(study, seed=1)), Booth()
    measure(study, other, booth, tmp_path)
    assert len(booth.asked) == 2


def run(study: Study, folder: Path, booth: Any, *, resume: bool = False) -> None:
    """A run whose rounds are over: its checkpoint says so."""
    learner = make_learner(study, seed=0)
    if not resume:
        first = state_of(study)
        done = ServerState(first.study, study.server.rounds, first.meta, first.optimizer)
        Checkpoint(folder).save(done)

    def never(*args: Any) -> Any:
        raise AssertionError("no round is left")

    options = RunOptions(folder=folder, resume=True)
    run_study(study, learner, lambda: Assembled(NAMES, never, booth), options)


def test_whatever_happens_to_metrics_the_initialization_is_saved(tmp_path: Path) -> None:
    def broken(state: ServerState, ballot: Ballot) -> Tally:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study_of(), tmp_path, broken)
    assert (tmp_path / INITIALIZATION_FILE).exists()
    run(study_of(), tmp_path, Booth(gout=NAMES), resume=True)  # no votes, and no error
    assert set(written(tmp_path)["missing"]) == {"gout", "anaemia"}
    run(study_of(), tmp_path, Booth(), resume=True)
    assert set(written(tmp_path)["tasks"]) == {"gout", "anaemia"}


def test_a_study_that_plans_none_asks_for_none(tmp_path: Path) -> None:
    booth = Booth()
    run(study_of(releases=0), tmp_path, booth)
    assert not booth.asked
    assert not (tmp_path / METRICS_FILE).exists()


def test_fewer_than_three_sites_are_never_enough() -> None:
    study = study_of()
    lenient = study.model_copy(update={"server": study.server.model_copy(update={"quorum": 0.1})})
    ballot = Ballot(1, "gout", dict.fromkeys(NAMES, None))  # type: ignore[arg-type]
    assert fewest(lenient, ballot) == 3
