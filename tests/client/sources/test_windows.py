from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.source_settings import Cohort, EventFeature
from client.sources.plan import make_plan
from client.sources.stage import staged
from client.sources.windows import frequent_units, person_rows
from tests.client.sources.event_reference import Event, Person
from tests.client.sources.event_wards import DAY0, INDEX, OUTCOME, answers, at, fill, source, ward


def label(cohort: Cohort, *events: Event, **more: Any) -> int | None:
    value = answers(source(cohort), [ward(at(0, INDEX), *events, **more)])["label"].iloc[0]
    return None if pd.isna(value) else int(value)


COHORT = Cohort(index=(INDEX,), lookback=10, outcome=5)
KEEP = COHORT.model_copy(update={"washout": False})


@pytest.mark.parametrize(
    ("day", "expected"), [(-11, 0), (-10, None), (0, None), (1, 1), (5, 1), (6, 0)]
)
def test_the_edges_of_the_outcome_window_and_of_washout(day: int, expected: int | None) -> None:
    assert label(COHORT, at(day, OUTCOME)) == expected
    assert label(KEEP, at(day, OUTCOME)) == (0 if expected is None else expected)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ([(-9, 5)], 0),
        ([(1, 5)], 0),
        ([(-9, 4)], None),
        ([(2, 9)], None),
        ([(-9, 2), (3, 9)], 0),  # the next period begins the day after
        ([(-9, 2), (4, 9)], None),  # a day is not covered
        ([(-9, 9), (-5, 0)], 0),  # one period within another
        ([], None),
    ],
)
def test_a_label_is_0_only_if_all_of_the_window_was_observed(
    observed: Any, expected: int | None
) -> None:
    assert label(COHORT, observed=observed) == expected
    assert label(COHORT, at(3, OUTCOME), observed=observed) == 1


@pytest.mark.parametrize(("day", "expected"), [(0, None), (1, 0), (5, 0), (6, None)])
def test_who_dies_in_the_window_without_the_event_has_label_0(
    day: int, expected: int | None
) -> None:
    assert label(COHORT, observed=[], died=DAY0 + timedelta(days=day)) == expected


@pytest.mark.parametrize(("day", "count"), [(-11, 0), (-10, 1), (0, 1), (1, 0)])
def test_the_edges_of_the_look_back_window(day: int, count: int) -> None:
    row = answers(source(COHORT), [ward(at(0, INDEX), at(day, value=2.0))]).iloc[0]
    assert row["count"] == count
    assert row["any"] == count
    assert pd.isna(row["last"]) == (count == 0)


def test_an_event_that_was_not_known_on_the_index_date_is_no_feature() -> None:
    known, unknown = at(-3, value=1.0, late=3), at(-2, value=2.0, late=3)
    row = answers(source(COHORT), [ward(at(0, INDEX), known, unknown)]).iloc[0]
    assert (row["last"], row["count"]) == (1.0, 1)


def test_a_span_of_days_counts_only_where_all_of_it_fits() -> None:
    row = answers(source(COHORT), [ward(at(0, INDEX), at(-3, span=3), at(-3, span=4))]).iloc[0]
    assert row["count"] == 1
    assert label(COHORT, at(1, OUTCOME, span=4)) == 1
    assert label(COHORT, at(1, OUTCOME, span=5)) is None
    assert label(KEEP, at(-30, OUTCOME, span=31)) is None
    assert label(COHORT, at(-40, OUTCOME, span=30)) is None  # it may have been on day -10
    assert answers(source(COHORT), [ward(at(0, INDEX, span=1))]).empty


def test_values_of_one_moment_have_an_order_of_their_own() -> None:
    events = [at(-1, value=v, hour=h) for v, h in ((5.0, 8), (9.0, 12), (7.0, 12), (6.0, 8))]
    row = answers(source(COHORT), [ward(at(0, INDEX), *events)]).iloc[0]
    assert (row["first"], row["last"]) == (5.0, 9.0)
    assert (row["min"], row["max"], row["mean"]) == (5.0, 9.0, 6.75)


def test_a_unit_selects_and_infinite_values_do_not_count() -> None:
    events = [at(-3, value=80.0, unit="kg"), at(-2, value=176.0, unit="[lb_av]")]
    events += [at(-1, value=float("nan"), unit="kg"), at(-1, value=float("inf"), unit="kg")]
    row = answers(source(COHORT, unit="kg"), [ward(at(0, INDEX), *events)]).iloc[0]
    assert (row["last"], row["mean"]) == (80.0, 80.0)
    assert answers(source(COHORT), [ward(at(0, INDEX), *events)]).iloc[0]["last"] == 176.0


def test_one_event_with_two_codes_counts_once() -> None:
    twice = EventFeature(name="both", concepts=("a|1", "b|1"), value="count")
    given = source(COHORT, twice)
    plan = make_plan(given, str)
    day = datetime.combine(DAY0, time())
    with staged(plan, Path("nowhere")) as stage:
        fill(stage, [ward(at(0, INDEX))])
        for code in ("a|1", "b|1"):
            stage.add("event", [("p", "e9", code, DAY0, DAY0, DAY0, day, None, "", "")])
        assert next(person_rows(stage, ["both"], 10))["both"].tolist() == [1.0]


def test_a_fixed_date_takes_who_is_born_and_alive() -> None:
    day = DAY0 + timedelta(days=1)
    persons = [
        ward(name="alive"),
        ward(name="died on the day", died=day),
        ward(name="dead", died=DAY0),
        Person("unborn", day + timedelta(days=1)),
    ]
    cohort = Cohort(index=day.isoformat(), outcome=5)
    assert list(answers(source(cohort), persons).index) == ["alive", "died on the day"]


def test_age_is_in_completed_years() -> None:
    cohort = [Cohort(index=day) for day in ("2020-02-28", "2020-02-29", "2021-03-01")]
    assert [answers(source(c), [ward()])["age"].iloc[0] for c in cohort] == [39, 40, 41]


def test_persons_come_in_one_order_whatever_the_chunks() -> None:
    persons = [ward(at(0, INDEX), at(0, value=float(n)), name=f"{n}") for n in range(25)]
    whole = answers(source(COHORT), persons)
    for rows in (1, 7, 25):
        pd.testing.assert_frame_equal(answers(source(COHORT), persons[::-1], rows), whole)
    assert list(whole.index) == sorted(whole.index)


def test_the_most_frequent_unit_is_found() -> None:
    plan = make_plan(source(COHORT), str)
    units = ["kg", "kg", "g", ""]
    with staged(plan, Path("nowhere")) as stage:
        fill(stage, [ward(*(at(n, value=1.0, unit=u) for n, u in enumerate(units)))])
        assert set(frequent_units(stage).values()) == {"kg"}


def test_what_does_not_fit_in_memory_spills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("client.sources.scratch.MEMORY", "40MB")
    monkeypatch.setattr("client.sources.windows._PART", 50_000)
    given = source(COHORT)
    mean = [each for each in given.features if each.name == "mean"]
    plan = make_plan(given.model_copy(update={"features": mean}), str)
    with staged(plan, tmp_path) as stage:
        stage.run("INSERT INTO person SELECT i, DATE '1980-01-01', 'F' FROM range(15000) t(i)")
        stage.run(
            """
            INSERT INTO event
            SELECT i // 20, i, CASE i % 20 WHEN 0 THEN 'x|index' ELSE 'x|lab' END, day, day, day,
                day, i % 7, '', ''
            FROM (SELECT i, DATE '2020-01-01' - CAST(i % 20 AS INTEGER) AS day
                FROM range(300000) t(i))"""
        )
        rows = list(person_rows(stage, ["person_id", "mean"], 50_000))
        assert {each.name for each in stage.folder.iterdir()} > {"lock"}  # it did spill
    assert sum(map(len, rows)) == 15_000
    assert not stage.folder.exists()
    assert capfd.readouterr() == ("", "")  # no progress bar among the results
