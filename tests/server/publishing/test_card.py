"""The card says what it must, the same on the page and as text, and nothing that runs."""

import re
from html import unescape
from pathlib import Path
from typing import Any

from common.learner import make_learner
from common.pages import DASH
from server.publishing.blocks import (
    Alarm,
    Block,
    Bullets,
    Grid,
    Para,
    Section,
    Terms,
    as_markdown,
    as_page,
)
from server.publishing.card import card
from server.publishing.card_evidence import benefit_section, metrics_section
from server.publishing.documents import privacy
from server.publishing.reading import Given, Signatures
from server.state import RoundRecord, first_state
from tests.publishing import NAMES, NOISE, study_of

CREATED = "2026-01-02T03:04:05+00:00"


def given_of(*records: RoundRecord, **changes: Any) -> Given:
    study = study_of(**changes)
    learner = make_learner(study, seed=0)
    state = first_state(study, learner)
    return Given(Path(), study, learner, state, records, "finished", Signatures(), simulated=False)


def written(given: Given, **parts: Any) -> tuple[str, str]:
    """Return the card as text and as a page."""
    none = {"metrics": None, "benefit": None}
    title, sections = card(given, {"privacy": privacy(given)} | none | parts, CREATED)
    return as_markdown(title, sections), as_page(title, sections)


def test_it_tells_features_tasks_sites_and_what_it_is_not_for() -> None:
    records = [
        RoundRecord(1, 1, False, ("Ash",), {"Elm": "deadline", "Birch": "absent"}, 0.1),
        RoundRecord(1, 2, True, NAMES[:3], {"Elm": "deadline"}, 0.1),
        RoundRecord(2, 1, True, NAMES, {}, 0.1),
    ]
    text, _ = written(given_of(*records, purpose="Find gout."))
    for words in (
        "Find gout.",
        f"| age | numeric | years | 20 to 80 | {DASH} | yes |",
        f"| anaemia | column anaemia | 1 | sex | {DASH} |",
        "| Ash | 2 | none | 400 |",
        "| Birch | 2 | 1 x did not answer the roll call | 400 |",
        "| Elm | 1 | 2 x no reply in time | 400 |",
        "4 of 4 sites took part",
        "no medical device",
        "wardround adapt --model FOLDER",
        "There is no epsilon: the study asks for no noise.",
        "Nothing is known of how good it is",
    ):
        assert words in text, words


def test_a_site_that_never_took_part_is_counted_out() -> None:
    text, _ = written(given_of(RoundRecord(1, 1, True, NAMES[:3], {"Elm": "absent"}, 0.1)))
    assert "3 of 4 sites took part" in text
    assert "| Elm | 0 | 1 x did not answer the roll call | 400 |" in text


def test_epsilon_is_the_plans_of_sites_that_let_it_be_shown() -> None:
    given = given_of(privacy=NOISE)
    said = privacy(given)
    text, _ = written(given)
    assert set(said["epsilon"]) == {"Ash"}
    cost = said["epsilon"]["Ash"]
    assert f"| Ash | {cost['replace_one']:.2f} | {cost['zero_out']:.2f} | 0.001 |" in text
    assert f"of any site: epsilon at most {cost['replace_one']:.2f}" in text
    assert "do not rely on the epsilon" in text


def test_metrics_stand_beside_their_errors_and_their_caveat() -> None:
    one = {"value": 0.7123, "standard_error": 0.0456}
    task = {"sites": ["Ash", "Elm"], "informative": False, "estimates": {"auroc": one}}
    about = {
        "note": "Take care.",
        "tasks": {"gout": task},
        "missing": {"anaemia": "too few"},
        "refused": {},
    }
    text = as_markdown("t", [metrics_section(about, study_of())])
    assert "Take care." in text
    assert "| gout | AUROC | 0.712 | 0.046 | 2 |" in text
    assert "gout: too few patients for this noise to be informative." in text
    assert "anaemia: no metrics: too few." in text


def row(**changes: Any) -> dict[str, Any]:
    one = {"k": 5, "arm": "maml", "metric": "auroc", "mean": 0.7, "low": 0.6, "high": 0.8}
    return one | {"tasks": 2} | changes


def test_a_benefit_counts_wins_and_losses_alike() -> None:
    differences = [
        row(minus="local", low=0.1),
        row(minus="fedavg", low=-0.2, high=-0.1),
        row(minus="none", low=None, high=None),
        row(minus="local", metric="brier", low=0.1),
    ]
    found = {"dataset": "x", "scenario": "y", "rows": [row()], "differences": differences}
    text = as_markdown("t", [benefit_section(found)])
    assert "| AUROC: maml | 0.700 (0.60 to 0.80) |" in text
    assert "AUROC: of 2 comparisons of maml" in text
    assert "clearly better in 1, clearly worse in 1" in text
    assert "clearly better in 0, clearly worse in 1" in text  # a Brier score that is higher
    assert benefit_section(None).blocks == []


def test_names_from_a_study_are_text_and_nothing_is_loaded() -> None:
    evil = "<script>alert(1)</script> [x](javascript:1) | `y`"
    text, page = written(given_of(purpose=evil, name="<img src=x>"))
    for made in (text, page):
        assert "<script>" not in made
        assert "<img" not in made
    assert "\\[x\\](javascript:1) | \\`y\\`" in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"']|url\(|@import", page)


def test_the_page_is_for_dark_screens_too_and_paper_stays_white() -> None:
    _, page = written(given_of())
    assert "@media screen and (prefers-color-scheme: dark)" in page


def test_text_and_page_say_the_same() -> None:
    words: list[Block] = [Para("one"), Alarm("two"), Bullets(["three"]), Terms({"four": "five"})]
    sections = [Section("six", [*words, Grid(("seven",), [("eight",)])])]
    text, page = as_markdown("nine", sections), as_page("nine", sections)
    body = unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))
    for word in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"):
        assert word in text
        assert word in body
