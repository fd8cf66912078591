"""The page's new method: it is the file, it is short, it runs, and its update is what it says."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

import wardround as wr
from common.parameters import flatten

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "new_method.py"


def test_the_page_shows_the_file_which_is_at_most_thirty_lines_of_code() -> None:
    text = FILE.read_text()
    assert f"```python\n{text}```" in (ROOT / "docs" / "python-api.md").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 30


def test_it_runs_on_few_hospitals_and_its_update_is_the_mix_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(FILE), "--sites", "20", "--out", str(tmp_path)])
    quick = wr.federate, wr.evaluate
    monkeypatch.setattr(wr, "federate", lambda *a, **k: quick[0](*a, **k, rounds=2, workers=1))
    monkeypatch.setattr(
        wr, "evaluate", lambda *a: quick[1](*a, k=(0, 10), draws=2, max_tasks=2, workers=1)
    )
    names = runpy.run_path(str(FILE))
    assert (tmp_path / "new_method.svg").read_text().startswith("<svg")
    assert re.search(
        r"AUROC, k = 10: hedged-maml 0\.\d+ is .* than the best other", capsys.readouterr().out
    )
    hedged, learner = names["HEDGED"].episode_update, names["runs"][0].learner
    before, fomaml = (wr.find_algorithm(n).episode_update for n in ("maml", "fomaml"))
    assert before
    assert fomaml
    task = names["hospitals"].split.train["site-0000"][0]
    x, y = torch.from_numpy(task.x[:20]), torch.from_numpy(task.y[:20])
    halves = [wr.Rows(x[s], y[s], torch.ones(10)) for s in (slice(10), slice(10, 20))]
    episode = wr.Episode(*halves)
    at = [wr.InnerSettings(inner_steps=n, options={"share": 0.25}) for n in (0, 3)]
    mixed = flatten(hedged(learner.loss, learner.initial, episode, at[1]))
    start = flatten(before(learner.loss, learner.initial, episode, at[0]))
    end = flatten(fomaml(learner.loss, learner.initial, episode, at[1]))
    torch.testing.assert_close(mixed, 0.25 * start + 0.75 * end, rtol=1e-4, atol=1e-6)
