from pathlib import Path

import pytest

from common.study import read_study
from simulation.bench.rounds import EIGHT, FOUR, MASKED, STOCK, TITLES, TWO, party, summary, table
from simulation.bench.rounds_ours import Ours
from simulation.bench.rounds_stock import CLIENT, SERVER, Stock


def test_rows_hold_the_median_and_the_quartiles_of_a_set_ups_rounds() -> None:
    (row,) = summary({TWO: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]}, {TWO: 1.26})
    assert (row["median"], row["low"], row["high"], row["rounds"]) == (4.0, 2.0, 6.0, 7)
    assert table([row]).splitlines()[-1] == "| ours, 2 hospitals | 4.0 s | 2.0 to 6.0 s | 7 | 1.3 |"


@pytest.mark.parametrize("name", sorted(TITLES))
def test_a_set_up_has_as_many_hospitals_as_its_name_says(name: str, tmp_path: Path) -> None:
    made = party(tmp_path / "party", name, rounds=3)
    assert isinstance(made, Stock if name == STOCK else Ours)
    if isinstance(made, Ours):
        assert len(made.sites) == {TWO: 2, FOUR: 4, EIGHT: 8, MASKED: 4}[name]
        (tmp_path / "study.toml").write_text(made._study())
        study = read_study(tmp_path / "study.toml")
        assert study.privacy.profile == ("masked" if name == MASKED else "none")
        assert study.server.rounds == 3


def test_the_stock_apps_are_python() -> None:
    for text in (SERVER, CLIENT):
        compile(text, "app", "exec")
