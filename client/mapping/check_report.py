"""A check in the terminal, to be read at 100 columns, and as JSON."""

from typing import Any

from client.mapping.findings import FeatureFacts, Finding, Report, TaskFacts, percent
from client.mapping.map_report import STAYS
from common.pages import count

STYLE = {"ok": "green", "warning": "yellow", "problem": "bold red"}
SPLIT = (
    "missing: of all patients. impossible, unusual: of the entries that are there; - if there is "
    "none, or no limit."
)


def as_json(report: Report) -> dict[str, Any]:
    """Return a check for machines."""
    return {
        "schema": 1,
        "verdict": report.verdict,
        "site": report.site,
        "study": {"name": report.study, "id": report.study_id},
        "where": report.where,
        "rows": report.rows,
        "patients": report.patients,
        "excluded": report.excluded,
        "features": [one._asdict() for one in report.features],
        "tasks": [one._asdict() for one in report.tasks],
        "findings": [one._asdict() for one in report.findings],
    }


def conclusion(report: Report) -> str:
    """Return one sentence on what to do."""
    problems = sum(one.verdict == "problem" for one in report.findings)
    warnings = sum(one.verdict == "warning" for one in report.findings)
    if problems:
        left = f" and {count(warnings, 'warning')}" if warnings else ""
        return f"{count(problems, 'problem')}{left}: mend the problems, then check again."
    if warnings:
        return f"No problem, {count(warnings, 'warning')}: read them, then you can go on."
    return "All is well."


def opening(report: Report) -> str:
    """Return one sentence on what was read."""
    patients, rows = count(report.patients, "patient"), count(report.rows, "row")
    return f"{report.site}, study {report.study} ({report.study_id[:12]}): {patients} of {rows}."


def local_name(name: str, local: str) -> str:
    """Return a column's name in the study, and the local one where that differs."""
    if not local:
        return f"{name} (none here)"
    return name if name == local else f"{name} (here {local})"


def units(one: FeatureFacts) -> str:
    """Return a feature's unit, and from which one it is converted."""
    here = one.unit_here
    return f"{one.unit}, from {here}" if here and here != one.unit else one.unit or "-"


def expectation(one: TaskFacts) -> str:
    """Return the prevalence that the study expects."""
    return " to ".join(map(percent, one.expected)) if one.expected else "-"


def interval(one: TaskFacts) -> str:
    """Return the prevalence here with its interval."""
    if one.prevalence is None or one.interval is None:
        return "-"
    low, high = one.interval
    return f"{percent(one.prevalence)} ({percent(low)} to {percent(high)})"


def ordered(findings: tuple[Finding, ...]) -> list[Finding]:
    """Return findings, problems first and what is well last."""
    order = ("problem", "warning", "ok")
    return sorted(findings, key=lambda one: order.index(one.verdict))


def show(report: Report) -> None:
    """Print a check on stdout."""
    from rich.console import Console

    console = Console()
    console.print(STAYS, highlight=False)
    console.print(opening(report), highlight=False, markup=False)
    console.print(_features(report))
    console.print(SPLIT, style="dim", highlight=False)
    console.print(_tasks(report))
    console.print(_findings(report))
    console.print(conclusion(report), style=f"bold {STYLE[report.verdict]}", highlight=False)


def _features(report: Report) -> Any:
    table = _table("feature", "unit", "missing", "impossible", "unusual", "verdict")
    for one in report.features:
        shares = map(percent, (one.missing, one.impossible, one.unusual))
        _add(table, local_name(one.name, one.local), units(one), *shares, verdict=one.verdict)
    return table


def _tasks(report: Report) -> Any:
    table = _table("task", "labelled", "positive", "share (95 %)", "expected", "verdict")
    for one in report.tasks:
        verdict = one.verdict if one.offered or one.verdict != "ok" else "not declared"
        counts = (f"{one.labelled:,}", f"{one.positives:,}", interval(one), expectation(one))
        _add(table, local_name(one.name, one.local), *counts, verdict=verdict)
    return table


def _table(*names: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in names:
        right = name not in (names[0], "unit", "verdict")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _add(table: Any, *cells: str, verdict: str) -> None:
    from rich.markup import escape
    from rich.text import Text

    table.add_row(*map(escape, cells), Text(verdict, style=STYLE.get(verdict, "")))


def _findings(report: Report) -> Any:
    """Return a line for each finding, its remedy beneath it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for finding in ordered(report.findings):
        said = Text(f"{finding.about}: {finding.said}")
        if finding.remedy:
            said.append(f"\n> {finding.remedy}", style="dim")
        table.add_row(Text(finding.verdict, style=STYLE[finding.verdict]), said)
    return table
