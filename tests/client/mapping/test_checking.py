import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from client.mapping.check_page import check_html
from client.mapping.check_report import as_json, show
from client.mapping.checking import check_source
from client.mapping.findings import Finding, Report, percent
from tests.client.mapping.hospital import Fake, site, study, ward

LOW = {"limits": {"min_patients": 4}}
EXCLUDE = {"rows": {"impossible": "exclude", "duplicates": "exclude"}}
MISSING = {"rows": {"impossible": "missing"}}


def checked(
    table: Mapping[str, Sequence[Any]], *, asked: Mapping[str, Any] | None = None, **settings: Any
) -> Report:
    return check_source(Fake(table), site(**(LOW | settings)), study(**(asked or {})))


def on(report: Report, about: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.about == about]


def said(report: Report) -> str:
    return " | ".join(f"{f.verdict} {f.about}: {f.said} > {f.remedy}" for f in report.findings)


def test_a_ward_without_fault_is_well() -> None:
    report = checked(ward())
    assert report.verdict == "ok"
    assert (report.rows, report.patients, report.excluded) == (8, 8, {})
    assert on(report, "encoding")[0].verdict == "ok"


def test_shares_of_a_feature_are_counted() -> None:
    # Of seven ages one is 99, outside 30 to 80; one of eight is missing; nothing is impossible.
    report = checked(ward(age=["50", "61", "42", "", "77", "38", "59", "99"]))
    age = report.features[0]
    assert age.missing == pytest.approx(1 / 8)
    assert age.unusual == pytest.approx(1 / 7)
    assert age.impossible == 0


def test_a_task_has_its_prevalence_and_interval() -> None:
    (task,) = checked(ward()).tasks
    assert (task.labelled, task.positives, task.offered) == (7, 3, True)
    assert task.prevalence == pytest.approx(3 / 7)
    # Wilson by hand, n = 7, p = 3/7: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n),
    # (0.4286 + 0.2744 +- 1.96 sqrt(0.03499 + 0.01960)) / 1.5488 = (0.7030 +- 0.4580) / 1.5488
    assert task.interval == pytest.approx((0.158, 0.750), abs=0.001)


def tasks(**settings: Any) -> dict[str, Any]:
    rule = {"name": "infarction", "column": "icd", "positive": ["I21"]}
    return {"tasks": [rule | settings]}


def test_a_prevalence_that_the_study_does_not_expect_is_a_warning() -> None:
    report = checked(ward(), asked=tasks(prevalence=[0.9, 1.0]))
    (finding,) = on(report, "infarction")
    assert finding.verdict == "warning"
    assert "42.9% are positive; the study expects 90.0% to 100%" in finding.said
    assert checked(ward(), asked=tasks(prevalence=[0.7, 0.9])).verdict == "ok"  # reaches to 0.75


def test_labels_of_one_class_are_a_problem() -> None:
    assert "no labelled patient is positive" in said(checked(ward(icd=["I50"] * 8)))
    assert "every labelled patient is positive" in said(checked(ward(icd=["I21"] * 8)))
    assert "no patient has a label" in said(checked(ward(icd=[""] * 8)))
    assert not checked(ward(icd=["I50"] * 8)).tasks[0].offered


def test_too_few_patients_cannot_offer_a_task() -> None:
    few = checked(ward(), limits={"min_patients": 100})
    assert few.verdict == "problem"
    assert "7 patients with a label; your limit is 100" in said(few)
    large = checked(ward(), asked={"episodes": {"support": 10, "query": 15}})
    assert "7 patients with a label; an episode takes 25" in said(large)


@pytest.mark.parametrize(
    ("sites", "verdict", "words"),
    [
        ([{"name": "Ash", "patients": 8}], "ok", "8 patients are declared, 8 are there"),
        ([{"name": "Ash", "patients": 9}], "warning", "9 patients are declared, 8 are there"),
        ([{"name": "Ash", "patients": 5}], "ok", "3 patients take no part"),
        ([{"name": "Ash", "patients": 3}], "problem", "your limit is 4"),
        ([{"name": "Elm", "patients": 8}], "problem", "Ash is not in the study's roster"),
    ],
)
def test_the_roster_is_compared(sites: list[Any], verdict: str, words: str) -> None:
    report = checked(ward(), asked={"sites": sites})
    assert report.verdict == verdict
    assert words in said(report)


def test_a_task_that_is_not_declared_is_no_problem() -> None:
    asked = {
        "sites": [{"name": "Ash", "tasks": ["infarction"]}],
        "tasks": [*tasks()["tasks"], {"name": "death", "column": "died"}],
    }
    report = checked(ward(died=[""] * 8), asked=asked)
    assert report.verdict == "ok"
    assert not report.tasks[1].offered
    assert "has not declared the task" in said(report)


def test_a_unit_in_doubt_is_a_warning() -> None:
    rows = ward(chol=["5.2", "6.1", "4.8", "7.0", "5.5", "", "6.6", "5.9"])
    report = checked(rows)
    assert "warning chol: unit in doubt: 100% of the numbers are usual as mmol/L" in said(report)
    assert report.features[2].verdict == "warning"


def test_a_constant_a_sparse_and_an_empty_column_are_warnings() -> None:
    text = said(checked(ward(age=["50"] * 8, chol=[""] * 8, sbp=["120", "125"] + [""] * 6)))
    assert "warning age: all patients have the same value" in text
    assert "warning chol: no patient has it" in text
    assert "warning sbp: 75.0% of the patients lack it" in text


def test_a_column_that_the_hospital_says_it_lacks_is_well() -> None:
    rows = ward()
    del rows["chol"]
    report = checked(rows, columns=[{"study": "chol", "local": ""}])
    assert report.verdict == "ok"
    assert report.features[2].missing == 1.0
    assert "ok chol: this hospital has none, as site.toml says" in said(report)


def test_a_missing_entry_of_a_feature_that_all_must_have_is_a_warning() -> None:
    age = {"name": "age", "usual": [30, 80], "may_be_missing": False}
    text = said(checked(ward(), asked={"features": [age]}))
    assert "warning age: 12.5% lack it, though the study expects it of everyone" in text


BAD: dict[str, tuple[dict[str, Sequence[Any]], str, dict[str, int]]] = {
    "impossible": (
        ward(age=["999"] + ["50"] * 7),
        "column age has 1 entry out of the plausible range, the first in row 1",
        {"impossible value in age": 1},
    ),
    "duplicates": (
        ward(patient_id=["p0", "p0", *(f"p{i}" for i in range(2, 8))]),
        "2 rows share their patient",
        {"duplicate patient": 2},
    ),
    "dates": (
        ward(chol=["2021-03-04 10:00"] + ["200"] * 7),
        "column chol has 1 entry with a date, not a number",
        {"impossible value in chol": 1},
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_a_problem_or_are_left_out_and_counted_as_the_hospital_says(kind: str) -> None:
    rows, words, excluded = BAD[kind]
    refused = checked(rows)
    assert refused.verdict == "problem"
    assert words in said(refused)
    report = checked(rows, **EXCLUDE)
    assert report.verdict in ("ok", "warning")
    assert report.excluded == excluded
    assert report.patients + sum(excluded.values()) == report.rows == 8
    (reason,) = excluded
    assert f"of 8 rows are left out: {reason}" in said(report)


CANARY = "canary4711"
PLACES: list[tuple[str, Any]] = [
    ("patient_id", [CANARY] * 2 + [f"p{i}" for i in range(6)]),
    ("age", [CANARY, "47110815", "47110815-01-01", "4711,0815", "<47110815", "50", "60", ""]),
    ("chol", [47110815.0] * 8),
    ("smokes", [CANARY] * 8),
    ("sex", [CANARY] * 8),
    ("icd", [CANARY] * 8),
]


@pytest.mark.parametrize(("column", "entries"), PLACES, ids=[name for name, _ in PLACES])
@pytest.mark.parametrize("settings", [{}, MISSING, EXCLUDE], ids=["refuse", "missing", "exclude"])
def test_no_entry_of_a_patient_is_in_any_report(
    column: str,
    entries: Sequence[Any],
    settings: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        report = checked(ward(**{column: entries}), **settings)
    except Exception as error:
        texts = [str(error), repr(error)]
    else:
        show(report)
        texts = [repr(report), json.dumps(as_json(report)), check_html(report)]
    out = capsys.readouterr()
    whole = "".join([*texts, out.out, out.err, caplog.text])
    assert CANARY not in whole
    assert "47110815" not in whole


def test_the_page_stands_alone_and_escapes() -> None:
    text = check_html(checked(ward(), site="A<b>sh"))
    assert text.startswith("<!DOCTYPE html>")
    for outside in ("<script", "http:", "https:", "url(", "@import", "<img", "<link"):
        assert outside not in text
    assert "A&lt;b&gt;sh" in text
    assert "prefers-color-scheme: dark" in text
    assert "nothing has left the hospital" in text


def test_the_terminal_says_first_that_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    show(checked(ward(chol=[""] * 8), limits={"min_patients": 100}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Read on this machine only; nothing has left the hospital."
    assert max(map(len, lines)) <= 100
    assert "1 problem and 1 warning: mend the problems, then check again." in lines[-1]


def test_json_has_all_of_it() -> None:
    found = json.loads(json.dumps(as_json(checked(ward()))))
    assert found["verdict"] == "ok"
    assert found["study"]["id"] == study().id
    assert {"missing", "impossible", "unusual"} <= found["features"][0].keys()
    assert found["tasks"][0]["positives"] == 3


def test_a_share_is_whole_only_if_it_is_all() -> None:
    assert [percent(x) for x in (0.0, 1e-5, 0.5, 0.99999, 1.0, None)] == [
        *("0%", "0.1%", "50.0%", "99.9%", "100%", "-")
    ]


def test_a_source_that_contradicts_site_toml_is_a_warning() -> None:
    source = Fake(ward(), units={"sbp": "kPa"})
    rule = {"study": "sbp", "local": "sbp", "unit": "mmHg"}
    report = check_source(source, site(**LOW, columns=[rule]), study())
    assert "warning sbp: the source says kPa, site.toml says mmHg, which counts" in said(report)
    same = Fake(ward(), units={"sbp": "mm[Hg]"})
    assert check_source(same, site(**LOW, columns=[rule]), study()).verdict == "ok"
