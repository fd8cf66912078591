"""A report of small results, and reports without pictures."""

import pytest

from simulation import report
from simulation.report import report_html
from tests.simulation.small_results import make_results


@pytest.fixture(scope="session")
def page() -> str:
    return report_html(make_results())


@pytest.fixture
def no_pictures(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing, which takes a second, to `page` and to test_figures.py."""
    for name in ("adaptation_curves", "difference_curves", "learning_curves"):
        monkeypatch.setattr(report, name, lambda results: "<svg></svg>")
