from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.sources.dates import days_of, middle

UTC, BERLIN, TONGA = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Tongatapu")


@pytest.mark.parametrize(
    ("text", "zone", "day", "moment"),
    [
        ("2024-03-31", BERLIN, date(2024, 3, 31), datetime(2024, 3, 30, 23)),  # 00:00 +01:00
        ("2024-03-31T23:30:00Z", BERLIN, date(2024, 4, 1), datetime(2024, 3, 31, 23, 30)),
        ("2024-03-31T23:30:00-05:00", UTC, date(2024, 4, 1), datetime(2024, 4, 1, 4, 30)),
        (
            "2024-03-31T12:00:00.250Z",
            TONGA,
            date(2024, 4, 1),
            datetime(2024, 3, 31, 12, 0, 0, 250000),
        ),
        ("2024-06-30T08:15:00", BERLIN, date(2024, 6, 30), datetime(2024, 6, 30, 6, 15)),
        ("2016-12-31T23:59:60Z", UTC, date(2016, 12, 31), datetime(2016, 12, 31, 23, 59, 59)),
    ],
)
def test_a_moment_lies_on_the_day_of_the_hospitals_calendar(
    text: str, zone: ZoneInfo, day: date, moment: datetime
) -> None:
    assert days_of(text, zone) == (day, day, moment)


def test_a_month_or_a_year_is_the_span_of_its_days() -> None:
    assert days_of("2024-02", UTC)[:2] == (date(2024, 2, 1), date(2024, 2, 29))
    assert days_of("2023", UTC)[:2] == (date(2023, 1, 1), date(2023, 12, 31))


def test_a_date_of_birth_has_a_middle() -> None:
    texts = ("1980", "1980-02", "1980-02-29")
    days = [date(1980, 7, 1), date(1980, 2, 15), date(1980, 2, 29)]
    assert [middle(text, BERLIN) for text in texts] == days


@pytest.mark.parametrize(
    "text",
    ["", "24", "2024-1", "2023-02-29", "2024-13", "2024-01-01T", "x2024", "2024-01-01T25:00Z"],
)
def test_what_is_no_date_is_refused_unquoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"no date|no moment|day|month") as caught:
        days_of(text, UTC)
    assert not text or text not in str(caught.value)


@given(st.dates(), st.sampled_from([UTC, BERLIN, TONGA]))
def test_a_day_is_itself_in_every_zone(day: date, zone: ZoneInfo) -> None:
    assert days_of(day.isoformat(), zone)[:2] == (day, day)
