from pathlib import Path
from typing import Any

import pytest

from common.learner import make_learner
from simulation.judge import Trained, judge
from simulation.progress import Reporter
from simulation.scoring import HeldOutTasks, draw_tasks
from simulation.source import DEFAULTS, Plan, make_plan, tailored
from simulation.training import EngineSettings, train


@pytest.fixture
def settings() -> dict[str, Any]:
    return DEFAULTS | {"dataset": "synthetic", "sites": 12, "rounds": 2, "algorithm": "fedavg"}


@pytest.fixture
def trained(settings: dict[str, Any], tmp_path: Path) -> Trained:
    study = tailored(make_plan(settings), settings)
    engine = EngineSettings(workers=1)
    meta = train(study, settings, tmp_path / "run", engine=engine, keep_every=1)
    return Trained(study, make_learner(study, seed=0), meta, tmp_path / "run")


def test_the_results_are_the_same_for_any_number_of_workers(
    settings: dict[str, Any], trained: Trained
) -> None:
    plan: Plan = make_plan(settings)
    drawn = draw_tasks(plan, trained.study.evaluation, 0)
    tasks = HeldOutTasks(drawn.validation[:2], drawn.test[:2], {})
    one, two = (
        judge(plan, [trained], tasks, settings, Reporter(), number_of_workers=number)
        for number in (1, 2)
    )
    assert one == two
    assert {row["round"] for row in one["learning_curve"]} == {1, 2}
    assert {row["metric"] for row in one["learning_curve"]} == {"auroc", "log-loss"}
    assert one["rows"]
    assert one["rows_per_class"]
