import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from simulation.compare.report import report_html
from simulation.compare.results import LOCAL
from simulation.compare.scoring import GATED
from tests.pages import assert_stands_alone

pytestmark = pytest.mark.usefixtures("no_pictures")
Make = Callable[..., dict[str, Any]]
Read = Callable[[str], str]
Said = Callable[..., str]
RowsOf = Callable[[str, str], dict[str, list[str]]]
SITE = "<b>& $x_1$"


def test_page_stands_alone(page: str) -> None:
    assert page.count("<svg") == 3
    assert_stands_alone(page)


def test_same_results_give_the_same_bytes(
    page: str, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.undo()
    assert report_html(make()) == page


def test_results_are_left_as_they_were(make: Make) -> None:
    found = make()
    report_html(found)
    assert found == make()


def test_names_from_files_are_escaped(page: str) -> None:
    assert not re.search(r"<b>&|<years>|<i>", page)
    assert f"{html.escape(SITE)} / gout" in page
    assert f"{html.escape(SITE)} / rare" in page


def test_no_cell_is_nan_or_none(page: str, read: Read) -> None:
    assert not re.search(r"\b(nan|inf|None)\b", read(page))


def test_a_losing_gate_is_said_to_lose_and_by_how_much(said: Said) -> None:
    # AUROC over three sites: .05 (4 - 3) (1 + 1.1 + 1.2) / 3 = .055, and so is the Brier score.
    text = said()
    assert "the gate is ahead in 0 and behind in 4." in text
    assert "The largest loss is 0.055 of AUROC to fedavg-finetune at k = 0." in text
    assert (
        "fedavg-finetune is better than the gate at k = 0 (by 0.055) and k = 20 (by 0.055). "
        "The gate is ahead of every baseline at no k."
    ) in text
    assert text.count("baseline ahead") == 4
    assert "The largest lead" not in text


def test_a_winning_gate_is_said_to_win_where_more_and_where_less_is_better(said: Said) -> None:
    text = said(better={GATED: 5})
    assert "the gate is ahead in 4 and behind in 0." in text
    assert text.count("The gate is ahead of every baseline at k = 0 and 20.") == 2
    assert "is better than the gate" not in text


def test_a_loss_that_rounds_to_nothing_is_still_a_loss(make: Make, read: Read) -> None:
    found = make()
    for line in found["compared"]:
        line["best_baseline_ahead"] = -0.0002 if line["metric"] == "auroc" else 0.0002
    assert "at k = 0 (by less than 0.001)" in read(report_html(found))


def test_a_candidate_that_alone_beats_the_gate_is_named(said: Said) -> None:
    assert "used alone" not in said().split("How to read this")[0]
    text = said(better={"candidate:maml/zero": 5})
    assert text.count("would have been best: maml/zero at k = 0; maml/zero at k = 20.") == 2


def test_an_interval_that_holds_zero_is_said_to(make: Make, read: Read, said: Said) -> None:
    found = make()
    for test in found["tests"]:
        test["low"], test["high"] = -0.2, 0.2
    assert read(report_html(found)).count("baseline ahead, includes 0") == 4
    assert "includes 0" not in said().split("How to read this")[0]


def test_harm_is_told_at_each_k(said: Said) -> None:
    assert "that the gate harms: 0.0% at every k." in said()
    # The local arm is .05, .055 and .06 of AUROC ahead of the gate: beyond .02 at each site.
    harmed = said(better={LOCAL: 4})
    assert "that the gate harms: 100.0% at k = 0; 100.0% at k = 20." in harmed
