"""A check as one page of HTML, to keep beside the study's papers: no scripts, nothing from outside.

The page is for the hospital: it holds counts of its patients, small ones too, and no row.
"""

from collections.abc import Iterator

from client.mapping.check_report import (
    SPLIT,
    conclusion,
    expectation,
    interval,
    local_name,
    opening,
    ordered,
    units,
)
from client.mapping.findings import Finding, Report, percent
from client.mapping.map_report import STAYS
from common.pages import Html, element, joined, page, table

CSS = """
:root { --paper: #fff; --box: #f4f6f8; --ok: #1b6b3a; --warning: #8a5a00; --problem: #a4161a; }
body { background: var(--paper); }
.wide { overflow-x: auto; }
.wide td, .wide thead th { white-space: nowrap; }
.wide tbody th { min-width: 8em; }
.box { background: var(--box); }
.ok, .warning, .problem { font-weight: 600; }
span.ok, span.warning, span.problem { white-space: nowrap; }
.wide td:nth-child(2), .wide th:nth-child(2) { text-align: left; }
code { font-size: 0.95em; }
.ok { color: var(--ok); } .warning { color: var(--warning); } .problem { color: var(--problem); }
ul.findings { list-style: none; padding: 0; }
ul.findings li { display: grid; grid-template-columns: 5.5em 1fr; gap: 0 10px; padding: 8px 0;
  border-bottom: 1px solid var(--line); }
ul.findings p { margin: 0; overflow-wrap: anywhere; }
ul.findings .note { grid-column: 2; }
@media (max-width: 480px) {
  main { padding: 20px 14px 40px; }
  ul.findings li { grid-template-columns: 1fr; } ul.findings .note { grid-column: 1; }
}
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e3e8ee; --soft: #a3aeb9; --line: #37424d; --deep: #8ec5f4;
    --paper: #12181f; --box: #1a222b; --ok: #6fd39a; --warning: #f0b849; --problem: #ff8b85; }
}
"""


def check_html(report: Report) -> str:
    """Return a check as the text of one HTML file."""
    title = f"{report.site}: check for {report.study}"
    return page(title, joined(_parts(report, title)), css=CSS)


def _parts(report: Report, title: str) -> Iterator[Html]:
    yield element("h1", title)
    yield element("p", STAYS, css="purpose")
    yield element("p", opening(report))
    yield element("p", conclusion(report), css=f"lead {report.verdict}")
    loud = [one for one in ordered(report.findings) if one.verdict != "ok"]
    if loud:
        yield element("h2", "What to look at")
        yield _list(loud)
    yield element("h2", "Rows")
    yield _rows(report)
    yield element("h2", "Features")
    yield element("p", SPLIT, css="note")
    yield _wide(_features(report))
    yield element("h2", "Tasks")
    yield _wide(_tasks(report))
    yield element("h2", "Also seen")
    yield _list([one for one in report.findings if one.verdict == "ok"])
    yield element("p", f"Source: {report.where}. Study {report.study_id}.", css="note")


def _wide(content: Html) -> Html:
    """Return a table that scrolls sideways on a telephone, where the page itself does not."""
    return element("div", content, css="wide")


def _rows(report: Report) -> Html:
    rows = [("read", f"{report.rows:,}")]
    rows += [(f"left out: {why}", f"{n:,}") for why, n in report.excluded.items()]
    return table(("rows", "number"), [*rows, ("patients", f"{report.patients:,}")])


def _features(report: Report) -> Html:
    rows = [
        (
            local_name(one.name, one.local),
            _verdict(one.verdict),
            *map(percent, (one.missing, one.impossible, one.unusual)),
            units(one),
        )
        for one in report.features
    ]
    head = ("feature", "verdict", "missing", "impossible", "unusual", "unit")
    return table(head, rows)


def _tasks(report: Report) -> Html:
    rows = [
        (
            local_name(one.name, one.local),
            _verdict(one.verdict) if one.offered or one.verdict != "ok" else "not declared",
            f"{one.labelled:,}",
            f"{one.positives:,}",
            interval(one),
            expectation(one),
        )
        for one in report.tasks
    ]
    head = ("task", "verdict", "labelled", "positive", "share (95 % interval)", "expected")
    return table(head, rows)


def _verdict(verdict: str) -> Html:
    return element("span", verdict, css=verdict)


def _list(findings: list[Finding]) -> Html:
    items = [
        element(
            "li",
            _verdict(one.verdict),
            element("p", element("strong", one.about), ": ", _with_code(one.said)),
            *([element("p", _with_code(one.remedy), css="note")] if one.remedy else []),
        )
        for one in findings
    ]
    return element("ul", *items, css="findings")


def _with_code(text: str) -> Html:
    """Return a text whose `settings` stand out."""
    parts = text.split("`")
    return Html("".join(element("code" if i % 2 else "span", p) for i, p in enumerate(parts)))
