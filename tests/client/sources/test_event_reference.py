"""The rows of any persons are those of plain loops, and know nothing of what came later."""

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.source_settings import Cohort
from tests.client.sources.event_reference import Event, Person, feature_of, index_day, label_of
from tests.client.sources.event_wards import (
    DAY0,
    HOWS,
    INDEX,
    LAB,
    OUTCOME,
    answers,
    at,
    source,
    ward,
)

EVENTS = st.builds(
    at,
    st.integers(-14, 10),
    st.sampled_from([INDEX, LAB, LAB, OUTCOME]),
    st.one_of(st.none(), st.integers(0, 3).map(float)),
    span=st.sampled_from([0, 0, 0, 0, 1, 6]),
    late=st.sampled_from([0, 0, 0, 2]),
    hour=st.integers(0, 2),
    unit=st.sampled_from(["", "kg"]),
)
PERIODS = st.lists(
    st.tuples(st.integers(-20, 10), st.integers(0, 25)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=3,
)
DEATHS = st.one_of(st.none(), st.integers(0, 12).map(lambda n: DAY0 + timedelta(days=n)))
PERSONS = st.lists(
    st.builds(
        lambda events, observed, died: ward(*events, observed=observed, died=died),
        st.lists(EVENTS, max_size=8),
        PERIODS,
        DEATHS,
    ),
    min_size=1,
    max_size=12,
)
COHORTS = st.builds(
    Cohort,
    index=st.sampled_from([(INDEX,), (INDEX, LAB), DAY0.isoformat()]),
    lookback=st.integers(0, 12),
    outcome=st.integers(1, 8),
    washout=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(PERSONS, COHORTS, st.sampled_from(["", "kg"]))
def test_rows_are_those_of_plain_loops(persons: list[Person], cohort: Cohort, unit: str) -> None:
    named = [Person(**{**vars(p), "name": f"p{n:02d}"}) for n, p in enumerate(persons)]
    given = source(cohort, unit=unit)
    frame = answers(given, named)
    expected = {p.name: index for p in named if (index := index_day(p, cohort))}
    assert list(frame.index) == sorted(expected)
    for p in named:
        if not (index := expected.get(p.name)):
            continue
        for feature in given.features:
            value = feature_of(p, feature, index, cohort)
            got: Any = frame.loc[p.name, feature.name]
            assert (None if pd.isna(got) else got) == pytest.approx(value), feature.name
        got = frame.loc[p.name, "label"]
        assert (None if pd.isna(got) else got) == label_of(p, given.labels[0], index, cohort)


@settings(max_examples=20, deadline=None)
@given(PERSONS, COHORTS, st.lists(EVENTS, min_size=1, max_size=5))
def test_what_happens_after_the_index_date_changes_no_feature(
    persons: list[Person], cohort: Cohort, later: list[Event]
) -> None:
    """No leakage: a future is taken away and another put in its place; features stay equal."""
    named = [Person(**{**vars(p), "name": f"p{n:02d}"}) for n, p in enumerate(persons)]
    futures = []
    for p in named:
        index = index_day(p, cohort)
        past = tuple(e for e in p.events if index is None or e.known <= index or e.day <= index)
        extra = tuple(e for e in later if index and e.day > index)
        futures.append(Person(**{**vars(p), "events": past + extra}))
    features = ["sex", "age", *HOWS]
    before, after = (answers(source(cohort), each) for each in (named, futures))
    if before.empty:
        assert after.empty
    else:
        pd.testing.assert_frame_equal(before[features], after[features])
