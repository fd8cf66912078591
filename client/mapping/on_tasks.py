"""What is said about a study's tasks, and about the roster, at a hospital."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from client.cells import labels_of
from client.mapping.columns import Mapped
from client.mapping.findings import Finding, TaskFacts, percent, verdict_on
from client.mapping.reading import Reading
from client.site_file import SiteFile
from common.intervals import share_interval
from common.pages import count
from common.patients import MISSING
from common.study import Study, StudySite, TaskRule

Labels = NDArray[np.int64]


def entry_of(site: SiteFile, study: Study) -> StudySite | None:
    """Return the hospital's line in the study's roster."""
    return next((entry for entry in study.sites if entry.name == site.site), None)


def roster_findings(reading: Reading, site: SiteFile, study: Study) -> Iterator[Finding]:
    """Yield what the roster says of this hospital, against what is there."""
    about, entry, there = "roster", entry_of(site, study), len(reading.frame)
    private = study.privacy.profile != "none"
    if entry is None:
        if study.sites or private:
            remedy = "correct `site` in site.toml, or ask the coordinator to add you"
            said = f"{site.site} is not in the study's roster"
            yield Finding("problem", about, said, remedy)
        return
    if not entry.patients:
        if private:
            remedy = "ask the coordinator to enter your number of patients"
            yield Finding("problem", about, "no number of patients is declared", remedy)
        return
    said = f"{entry.patients:,} patients are declared, {there:,} are there"
    if entry.patients < site.limits.min_patients:
        remedy = "declare more, or lower min_patients in [limits]"
        said += f"; your limit is {site.limits.min_patients:,}"
        yield Finding("problem", about, said, remedy)
    elif there < entry.patients:
        remedy = "the empty slots stay empty: less is learned here, no promise is broken"
        yield Finding("warning", about, said, remedy)
    elif there > entry.patients:
        remedy = f"{there - entry.patients:,} patients take no part, whom nobody chose"
        yield Finding("ok", about, said, remedy)
    else:
        yield Finding("ok", about, said)


def task_facts(
    reading: Reading, site: SiteFile, study: Study
) -> tuple[tuple[TaskFacts, ...], list[Finding]]:
    """Return the table of the tasks, and what is to be said about them."""
    entry = entry_of(site, study)
    declared = (entry.tasks if entry else ()) or tuple(task.name for task in study.tasks)
    places = {place.wanted.name: place for place in reading.places}
    facts, said = [], []
    for task in study.tasks:
        labels = labels_of(reading.frame[task.column], task)
        found = [
            finding
            for finding in (*_of_labels(task, labels), *_of_numbers(task, labels, site, study))
            if task.name in declared
        ]
        if task.name not in declared:
            found.append(Finding("ok", task.name, "this hospital has not declared the task"))
        said += found
        facts.append(_facts(task, places[task.column], labels, found, task.name in declared))
    return tuple(facts), said


def _facts(
    task: TaskRule, place: Mapped, labels: Labels, found: Sequence[Finding], declared: bool
) -> TaskFacts:
    n, positives = _counts(labels)
    verdict = verdict_on(task.name, found)
    return TaskFacts(
        name=task.name,
        local=place.local,
        labelled=n,
        positives=positives,
        prevalence=positives / n if n else None,
        interval=share_interval(positives, n) if n else None,
        expected=task.prevalence,
        offered=declared and verdict != "problem",
        verdict=verdict,
    )


def _counts(labels: Labels) -> tuple[int, int]:
    return int((labels != MISSING).sum()), int((labels == 1).sum())


def _of_labels(task: TaskRule, labels: Labels) -> Iterator[Finding]:
    n, positives = _counts(labels)
    values = f"compare the entries of column {task.column} with the study's `positive`"
    if not n:
        yield Finding("problem", task.name, "no patient has a label", values)
    elif positives in (0, n):
        which = "No" if positives == 0 else "Every"
        said = f"{which.lower()} labelled patient is positive"
        yield Finding("problem", task.name, said, f"{values}, or name `values` in [[columns]]")
    elif task.prevalence:
        low, high = share_interval(positives, n)
        if high < task.prevalence[0] or low > task.prevalence[1]:
            expected = " to ".join(map(percent, task.prevalence))
            said = f"{percent(positives / n)} are positive; the study expects {expected}"
            yield Finding("warning", task.name, said, f"{values}; your patients may differ")


def _of_numbers(task: TaskRule, labels: Labels, site: SiteFile, study: Study) -> Iterator[Finding]:
    """Yield why a hospital cannot offer a task: too few patients whose label is known."""
    n, positives = _counts(labels)
    least, limit = study.group_size, site.limits.min_patients
    said = f"{count(n, 'patient')} with a label"
    if n < least:
        remedy = "wait for more, or leave the task to other sites"
        yield Finding("problem", task.name, f"{said}; an episode takes {least}", remedy)
    elif n < limit:
        remedy = "wait for more, or lower min_patients in [limits]"
        yield Finding("problem", task.name, f"{said}; your limit is {limit}", remedy)
    elif study.privacy.profile == "none" and 0 < min(positives, n - positives) < 2:
        remedy = "it needs two patients of each class; leave the task to other sites"
        yield Finding("problem", task.name, f"{said}, of one class but for one", remedy)
