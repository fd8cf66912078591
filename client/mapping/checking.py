"""Puts a check together: reading, contract, features, tasks, roster."""

from collections.abc import Iterator

from client.mapping.findings import Finding, Report
from client.mapping.on_features import feature_facts, feature_findings
from client.mapping.on_tasks import roster_findings, task_facts
from client.mapping.proposing import FirstRows, doubts
from client.mapping.reading import Reading, survey
from client.mapping.validating import EMPTY, USUAL, Counts, broken
from client.site_file import SiteFile
from client.sources.base import CHUNK_ROWS, Source
from client.table import patients_of_one_site
from common.errors import TableError
from common.study import Study

MANY_EXCLUDED = 0.05


def check_source(source: Source, site: SiteFile, study: Study) -> Report:
    """Return what is to be said about a hospital's patients for a study.

    Raises:
        TableError: the source cannot be read at all, lacks a column, or holds too much or nothing.
        SettingsError: a unit is not known or measures something else.
    """
    first = FirstRows()
    reading = survey(source, site, study, look=first)
    checked = broken(reading.frame, study)
    tasks, of_tasks = task_facts(reading, site, study)
    of_features = feature_findings(reading, checked, doubts(first.frame(), reading.places, site))
    findings = (
        *_of_reading(reading),
        *roster_findings(reading, site, study),
        *of_features,
        *of_tasks,
        *_of_contract(checked),
        *_of_encoding(reading, study, source.where),
    )
    return Report(
        site=site.site,
        study=study.name,
        study_id=study.id,
        where=source.where,
        rows=reading.rows,
        patients=len(reading.frame),
        excluded=dict(reading.excluded),
        features=feature_facts(reading, checked, findings),
        tasks=tasks,
        findings=findings,
    )


def _of_reading(reading: Reading) -> Iterator[Finding]:
    for problem in reading.problems:
        yield Finding("problem", problem.column, problem.what, problem.remedy)
    refused = bool(reading.problems)
    for reason, rows in reading.excluded.items():
        share = rows / reading.rows
        said = f"{rows:,} of {reading.rows:,} rows are left out: {reason}"
        if share >= MANY_EXCLUDED and not refused:
            yield Finding("warning", "rows", said, "mend them at the source: they are many")
        elif not refused:
            yield Finding("ok", "rows", said)


def _of_contract(checked: Counts) -> Iterator[Finding]:
    """Yield what pandera found, but for unusual and empty entries, which have their own words."""
    for (column, check), number in checked.items():
        if check not in (USUAL, EMPTY):
            said = f"{number:,} entries break the contract of the reading: {check}"
            yield Finding("problem", column, said, "this is a fault of Wardround: report it")


def _of_encoding(reading: Reading, study: Study, where: str) -> Iterator[Finding]:
    """Yield whether the study's own encoding takes what was read: the proof of the pudding.

    It is done in parts, each let go at once: all of it takes several times the frame's memory.
    """
    try:
        for start in range(0, len(reading.frame), CHUNK_ROWS):
            part = reading.frame[start : start + CHUNK_ROWS]
            patients_of_one_site(part, study, where=where, labelled=None)
    except TableError as error:
        yield Finding("problem", "encoding", error.what, error.remedy)
    else:
        yield Finding("ok", "encoding", "the study's encoding takes every patient")
