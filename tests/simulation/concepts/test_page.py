"""That docs/concepts.md shows what `python -m simulation.concepts` prints.

The networks take a minute, so of each table what needs none is compared: the header, the names and
the error of saying the share of the ill.
"""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor

from common.episodes import Rows
from common.parameters import Params
from simulation.concepts import pictures, world
from simulation.concepts.__main__ import judged, table
from simulation.concepts.world import GRID, untrained

PAGE = (Path(__file__).parents[3] / "docs/concepts.md").read_text(encoding="utf-8")
TITLES = {"like the others": False, "unlike all others": True}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def flat(_: Params, rows: Rows, *, steps: int) -> Tensor:
        return torch.full((len(rows.y), len(GRID)), 0.1 * (steps > 0))

    monkeypatch.setattr(world, "curves", flat)


@pytest.mark.parametrize("title", TITLES)
def test_the_page_shows_the_table(title: str) -> None:
    printed = table(title, judged(untrained(0), mirrored=TITLES[title])).splitlines()
    shown = PAGE[PAGE.index(printed[0]) :].splitlines()[: len(printed)]
    assert shown[:3] == printed[:3]
    assert [row.split("|")[1] for row in shown] == [row.split("|")[1] for row in printed]


def test_every_figure_of_the_page_is_there() -> None:
    for name in ("round", "start", "errors", "demo"):
        assert f"(pictures/{name}.svg)" in PAGE
        ElementTree.parse(Path(__file__).parents[3] / f"docs/pictures/{name}.svg")


def test_the_errors_picture_has_a_line_for_every_way() -> None:
    errors = judged(untrained(0), mirrored=False)
    assert list(next(iter(errors.values()))) == list(pictures.LINES)
    assert ElementTree.fromstring(pictures.error_picture(errors, errors)).tag.endswith("svg")
