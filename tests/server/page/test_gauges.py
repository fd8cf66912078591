"""Prometheus reads the run's numbers."""

from prometheus_client.parser import text_string_to_metric_families

from tests.page_run import HOSTILE, RunFolder
from tests.server.page.conftest import Visitor


def scrape(visitor: Visitor) -> dict[tuple[str, str], float]:
    """Return values by name and label value, as Prometheus' own parser reads them."""
    visitor.app.state.live.clock = lambda: float("inf")
    answer = visitor.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_new_run_has_numbers(visitor: Visitor) -> None:
    found = scrape(visitor)
    assert found["wardround_round", ""] == 0
    assert found["wardround_rounds", ""] == 90
    assert found["wardround_sites", "not heard of"] == 4
    assert ("wardround_last_round_seconds", "") not in found


def test_the_numbers_are_those_of_the_run(run: RunFolder, visitor: Visitor) -> None:
    run.rounds(1, 4)
    run.rounds(5, 5, closed=False, accepted=["Ash"], dropped={"Birch": "deadline"})
    run.rounds(
        5, 5, attempt=2, seconds=7.25, accepted=["Ash", "Dale"],
        dropped={"Birch": "away", "Cedar": "norm-too-large"},
    )  # fmt: skip
    run.status("running", 5)
    found = scrape(visitor)
    assert found["wardround_round", ""] == 5
    assert found["wardround_last_round_seconds", ""] == 7.25
    assert found["wardround_phase", "running"] == 1
    assert found["wardround_phase", "paused"] == 0
    assert found["wardround_process_alive", ""] == 1
    assert found["wardround_sites", "taking part"] == 2
    assert found["wardround_sites", "away"] == 1
    assert found["wardround_sites", "dropped"] == 1
    assert found["wardround_attempts_total", "closed"] == 5
    assert found["wardround_attempts_total", "no quorum"] == 1
    assert found["wardround_drops_total", "deadline"] == 1
    assert found["wardround_drops_total", "norm-too-large"] == 1


def test_a_reason_with_strange_characters_does_not_break_the_format(
    run: RunFolder, visitor: Visitor
) -> None:
    strange = f'{HOSTILE}"\n\\'
    run.rounds(1, 1, dropped={"Dale": strange})
    assert scrape(visitor)["wardround_drops_total", strange] == 1
