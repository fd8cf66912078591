import re
from dataclasses import replace
from pathlib import Path

import pytest

import wardround as wr

SECTIONS = {"episodes": {"support": 4, "query": 4, "meta_batch": 2}, "model": {"hidden": 8}}


@pytest.fixture(scope="module")
def judged(small: wr.Hospitals) -> wr.Evaluation:
    runs = [
        wr.federate(name, small, rounds=2, sections=SECTIONS, workers=1)
        for name in ("maml", "reptile", "fedavg")
    ]
    return wr.evaluate(runs, small, k=(0, 5), draws=3, max_tasks=3, workers=1)


def test_every_run_stands_beside_the_local_arms_and_the_truth(judged: wr.Evaluation) -> None:
    arms = {row["arm"] for row in judged.results["rows"]}
    local = {"local-logistic", "local-network", "truth"}
    assert arms == local | {"maml", "reptile", "fedavg", "fedavg-finetune"}
    paired = {row["minus"] for row in judged.results["differences"]}
    assert paired == arms - {"maml"}, "the first run is the one in question"
    assert len(judged.results["held_out"]) == 3


def test_the_sentence_says_who_is_ahead_in_the_numbers_of_the_rows(judged: wr.Evaluation) -> None:
    said = judged.sentence(5)
    mean, low, high = judged.mean("maml", 5)
    assert low < mean < high
    assert f"AUROC, k = 5: maml {mean:.3f} is " in said
    others = ("local-logistic", "local-network", "reptile", "fedavg", "fedavg-finetune")
    best = max(others, key=lambda arm: judged.mean(arm, 5)[0])
    assert f"{best} {judged.mean(best, 5)[0]:.3f}" in said
    assert ("better" in said) == (mean > judged.mean(best, 5)[0])
    assert judged.sentence(5, "brier").startswith("Brier score, k = 5: maml")


def test_as_text_it_is_a_table_and_a_sentence_a_k(judged: wr.Evaluation) -> None:
    text = str(judged)
    assert "| arm | k = 0 | k = 5 |" in text
    mean, *_ = judged.mean("maml", 0)
    assert re.search(rf"\| maml \| {mean:.3f} \| 0\.\d+ \|", text)
    assert judged.sentence(0) in text


def test_the_learning_curve_holds_every_tenth_of_every_run(judged: wr.Evaluation) -> None:
    points = {(row["arm"], row["round"]) for row in judged.results["learning_curve"]}
    assert points == {(arm, r) for arm in ("maml", "reptile", "fedavg") for r in (1, 2)}


def test_the_figure_is_written_and_names_the_arms(judged: wr.Evaluation, tmp_path: Path) -> None:
    path = judged.figure(tmp_path / "new" / "figure.svg")
    assert path.read_text().startswith("<svg")
    assert judged.figure(tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(wr.WardroundError, match=r"name an .svg or .png"):
        judged.figure(tmp_path / "figure.txt")


def test_what_was_not_compared_is_refused(judged: wr.Evaluation) -> None:
    with pytest.raises(wr.WardroundError, match="k = 7"):
        judged.sentence(7)
    with pytest.raises(wr.WardroundError, match="nobody has no auroc"):
        judged.mean("nobody", 5)


def test_runs_need_names_of_their_own(small: wr.Hospitals) -> None:
    one = wr.federate("reptile", small, rounds=1, sections=SECTIONS, workers=1)
    with pytest.raises(wr.WardroundError, match="reptile, reptile"):
        wr.evaluate([one, one], small)
    own = replace(wr.find_algorithm("reptile"), name="slow-reptile")
    other = wr.federate(own, small, rounds=1, inner_lr=0.01, sections=SECTIONS, workers=1)
    judged = wr.evaluate([one, other], small, k=(5,), draws=2, max_tasks=1, workers=1)
    assert judged.mean("slow-reptile", 5) != judged.mean("reptile", 5)
    with pytest.raises(wr.WardroundError, match=r"evaluation.draws"):
        wr.evaluate([one], small, draws=0)
