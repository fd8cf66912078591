from pathlib import Path

import pytest

from common.learner import make_learner
from common.study import read_study
from simulation.bench.load import PARTS, Loaded, add_wards, growth, summary


def test_growth_is_the_slope_after_the_first_rounds() -> None:
    rows = [{"round": n, "edge": 500.0 if n < 10 else 100.0 + 0.5 * n} for n in range(1, 40)]
    assert growth(rows, "edge") == pytest.approx(0.5)


def test_a_summary_counts_requests_over_the_seconds_of_the_rounds() -> None:
    parts = dict.fromkeys(PARTS, 1.0)
    rows = [{"round": n, "when": 2.0 * n, "answered": 30 * n, "sites": 4, **parts} for n in (1, 2)]
    found = summary(rows)
    assert (found["round_s"], found["requests_per_s"]) == (2.0, 15.0)
    assert "edge_mb" in found
    assert "edge_mb_per_round" not in found, "two rounds do not tell"


@pytest.mark.parametrize(("parameters", "dim"), [(0, 146), (10_000_000, 10_000_000)])
def test_the_study_has_about_so_many_parameters(tmp_path: Path, parameters: int, dim: int) -> None:
    made = Loaded(tmp_path, real=1, light=2, rounds=3, parameters=parameters)
    (tmp_path / "study.toml").write_text(made._study())
    study = read_study(tmp_path / "study.toml")
    assert [site.name for site in study.sites] == ["site0", "light0", "light1"]
    assert make_learner(study, seed=0).dim == pytest.approx(dim, rel=0.01)


def test_each_patient_is_in_a_ward_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id\na\nb\nc\n")
    add_wards(tmp_path / "p.csv", 2)
    assert (tmp_path / "p.csv").read_text() == "id,ward\na,w0\nb,w1\nc,w0\n"
