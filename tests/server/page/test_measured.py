"""What a run folder holds of learning is shown as far as it is there, and counts never are."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from server.page import measured
from server.page.measured import METRICS_FILE, MOST_STEPS, Movement, read_metrics
from tests.page_run import METRICS


def keep(folder: Path, round_index: int, *values: float) -> None:
    (folder / "history").mkdir(exist_ok=True)
    vector = np.array(values, dtype=np.float32)
    save_file({"w": vector}, str(folder / "history" / f"{round_index:06d}.safetensors"))


def test_metrics_are_read_without_counts(tmp_path: Path) -> None:
    (tmp_path / METRICS_FILE).write_text(json.dumps(METRICS))
    found = read_metrics(tmp_path)
    assert found is not None
    assert found.tasks["gout"].estimates["auroc"].value == 0.8123
    assert "counts" not in found.model_dump_json()
    assert '"declared"' not in found.model_dump_json()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"tasks": 3}', '{"tasks": {"a": {"estimates": {"auroc": {}}}}}']
)
def test_metrics_that_cannot_be_read_are_none(text: str, tmp_path: Path) -> None:
    assert read_metrics(tmp_path) is None
    (tmp_path / METRICS_FILE).write_text(text)
    assert read_metrics(tmp_path) is None


def test_movement_is_the_norm_of_the_change_per_round(tmp_path: Path) -> None:
    movement = Movement(tmp_path)
    assert not movement.refresh()
    keep(tmp_path, 2, 0.0, 0.0)
    keep(tmp_path, 4, 3.0, 4.0)  # norm 5 over two rounds
    assert movement.refresh()
    assert movement.steps == [(4, 2.5)]
    keep(tmp_path, 5, 3.0, 5.0)
    assert movement.refresh()
    assert movement.steps == [(4, 2.5), (5, 1.0)]
    assert not movement.refresh()


def test_copies_that_cannot_be_compared_are_passed_over(tmp_path: Path) -> None:
    keep(tmp_path, 1, 0.0)
    (tmp_path / "history" / "000002.safetensors").write_bytes(b"nonsense")
    keep(tmp_path, 3, float("nan"))
    keep(tmp_path, 4, 1.0, 2.0)
    keep(tmp_path, 6, 1.0, 4.0)
    movement = Movement(tmp_path)
    movement.refresh()
    assert movement.steps == [(6, 1.0)]


def test_many_copies_are_read_in_steps_and_kept_in_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "MOST_STEPS", 10)
    for i in range(1, 60):
        keep(tmp_path, i, float(i))
    movement = Movement(tmp_path)
    calls = 0
    while movement.refresh():
        calls += 1
    assert calls == 3  # 59 copies, 20 at a time
    assert len(movement.steps) <= 10 < MOST_STEPS
    assert {norm for _, norm in movement.steps} == {1.0}
    assert movement.steps[-1][0] == 59
