import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np

from client.card import card_html
from client.card_figure import figure, groups
from client.evidence import WAYS, weigh
from client.personal import Fit, Personal, fit
from client.words import sentence, warnings

VOID = {"meta", "line", "circle", "rect"}


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def card(personal: Personal, found: Fit) -> str:
    evidence = weigh(personal, found)
    about: dict[str, Any] = {
        "patients": len(personal.y),
        "positives": int(personal.y.sum()),
        "sentence": sentence(personal, evidence),
        "warnings": warnings(personal, found, evidence),
        "starts": [{"name": "<b>maml", "algorithm": "maml", "rounds": 200, "task": ""}],
        "origin": "<script>alert(1)</script>",
        "study": "0" * 64,
        "onnx": "model.onnx",
    }
    return card_html(personal, found, evidence, about)


def test_the_card_is_one_page_without_outside_resources_and_escapes_names(
    fitted: tuple[Personal, Fit],
) -> None:
    text = card(*fitted)
    assert "<script" not in text
    assert not re.search(r"(?:src|href)\s*=|url\(|@import", text)
    assert "&lt;script&gt;" in text
    page = Balance()
    page.feed(text)
    assert page.open == []


def test_the_card_names_every_way_candidate_and_warning(fitted: tuple[Personal, Fit]) -> None:
    text = card(*fitted)
    for name in (*WAYS, *(c.name for c in fitted[1].panel.candidates)):
        assert f">{name}<" in text
    for warning in warnings(*fitted, weigh(*fitted)):
        assert warning in text
    assert "it is patient data" in text


def test_a_card_of_one_class_or_one_patient_can_be_made(
    personal: Callable[..., Personal],
) -> None:
    for one in (personal(8, gout=0), personal(1)):
        assert "</html>" in card(one, fit(one))


def test_points_of_the_calibration_plot_hold_at_least_five_patients_of_alike_probability() -> None:
    p = np.array([0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.6, 0.5, 0.55, 0.65])
    low, high = groups(p)
    assert len(low) + len(high) == 11
    assert min(len(low), len(high)) == 5
    assert p[low].max() <= p[high].min()
    assert len(groups(np.linspace(0, 1, 100))) == 5
    assert len(groups(p[:3])) == 1


def test_every_patient_is_drawn_once_by_what_they_have() -> None:
    svg = figure(np.array([0.2, 0.4, 0.9]), np.array([0, 0, 1]))
    assert svg.count("<rect") == 1
    assert svg.count('fill="none"') == 2
    assert "without (2)" in svg
