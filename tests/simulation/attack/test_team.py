import json

from typer.testing import CliRunner

from common.cli import make_app
from simulation.attack.team import run


def test_rows_have_the_fields_that_were_agreed_on() -> None:
    result = CliRunner().invoke(make_app(), ["attack", "--only", "server", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert list(row) == [
        "attack", "algorithm", "profile", "success", "low", "high", "trials", "unit",
    ]  # fmt: skip
    assert (row["profile"], row["trials"], row["success"]) == ("masked", 18, 0.0)


def test_reconstruction_is_told_with_its_interval() -> None:
    rows = list(run(["reconstruction"], 2, 0, lambda doing: None))
    assert {(r.algorithm, r.profile) for r in rows} == {
        (a, p) for a in ("maml", "fomaml", "reptile") for p in ("none", "masked", "robust")
    }
    assert all(r.low - 1e-9 <= r.success <= r.high + 1e-9 for r in rows)
    assert all(r.success == 0 for r in rows if r.profile != "none")


def test_an_unknown_part_is_refused() -> None:
    result = CliRunner().invoke(make_app(), ["attack", "--only", "magic"])
    assert result.exit_code == 1
    assert "no part magic" in str(result.exception)
