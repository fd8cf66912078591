import pytest

from client.sources.query import one_select
from common.errors import SettingsError


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM patients",
        "  select a, 'drop; table' AS b from p -- a; comment\n;",
        "with w as (select 1 as a) select a from w",
        'SELECT "update", "a;b" FROM p /* ; delete */',
        "SELECT 'it''s; so' FROM p",
    ],
)
def test_one_select_passes(query: str) -> None:
    assert one_select(query) == query.strip().removesuffix(";").rstrip()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE FROM p", "does not begin with SELECT"),
        ("", "does not begin with SELECT"),
        ("SELECT 1; DROP TABLE p", "more than one statement"),
        ("SELECT 1) AS x; DROP TABLE p; --", "more than one statement"),
        ("SELECT 1) AS x", "a bracket"),
        ("WITH gone AS (DELETE FROM p RETURNING *) SELECT * FROM gone", "DELETE"),
        ("SELECT * INTO copy_of FROM p", "INTO"),
        ("SELECT * FROM p FOR UPDATE", "UPDATE"),
    ],
)
def test_anything_else_is_refused(query: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        one_select(query)
