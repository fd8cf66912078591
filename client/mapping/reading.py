"""Reading a hospital's patients: one row a patient, in the study's columns, names and units.

Chunks come one at a time and are kept in compact types only (four bytes a number), so that memory
is bounded by `rows.max_rows`. What does not fit is counted by reason; no entry and no patient's
name leaves this module but in the frame itself.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from client.mapping.columns import Mapped, resolve
from client.mapping.entries import REASONS, Entries, entries_of
from client.site_file import RowRules, SiteFile
from client.sources.base import Source
from common.errors import TableError, WardroundError
from common.study import Study

DUPLICATE, UNNAMED = "duplicate patient", "no patient name"
POLICY = 'or let them go: impossible = "missing" or "exclude" in [rows]'


class Problem(NamedTuple):
    """Why a reading is refused, and what to do about it; column is the study's."""

    column: str
    what: str
    remedy: str


class Reading(NamedTuple):
    """What was read.

    frame: one row a patient, in the study's columns. rows: read from the source. excluded: rows
    left out, by reason, each row once. impossible: entries, by the study's column and the number
    of the reason (client.mapping.entries). problems: what the hospital's rules refuse. places:
    where each column was found.
    """

    frame: pd.DataFrame
    rows: int
    excluded: Mapping[str, int]
    impossible: Mapping[str, Mapping[int, int]]
    problems: tuple[Problem, ...]
    places: tuple[Mapped, ...]


class _Chunk(NamedTuple):
    """columns: by the study's name. strange: by row, the first column that costs it, 0 if none."""

    columns: dict[str, Any]
    strange: NDArray[np.int16]


def read_patients(source: Source, site: SiteFile, study: Study) -> Reading:
    """Return a hospital's patients.

    Raises:
        TableError: the source cannot be read, lacks a column, has too many rows, or has rows that
            the hospital's rules refuse.
        SettingsError: a unit is not known or measures something else.
    """
    reading = survey(source, site, study)
    if reading.problems:
        first, *others = reading.problems
        more = f", and {len(others)} more; `wardround node check` lists them" if others else ""
        raise TableError(first.what, where=source.where, remedy=first.remedy + more)
    return reading


def survey(
    source: Source,
    site: SiteFile,
    study: Study,
    *,
    look: Callable[[pd.DataFrame], None] | None = None,
) -> Reading:
    """Return the same, where what the rules refuse is listed instead of raised.

    The frame then lacks refused rows of one patient, and refused entries are missing. look is
    called with each chunk as the hospital has it.
    """
    places = tuple(resolve(source, site, study))
    counts: dict[str, Counter[int]] = {place.wanted.name: Counter() for place in places}
    firsts: dict[tuple[str, int], int] = {}
    chunks: list[_Chunk] = []
    rows = 0
    for frame in _chunks(source, places, site.rows.max_rows):
        if look:
            look(frame)
        chunks.append(_mapped(frame, places, counts, firsts, start=rows))
        rows += len(frame)
    if not rows:
        raise TableError("there are no rows", where=source.where, remedy="add patients")
    frame, strange = _joined(chunks, places)
    reasons = _excluding(frame[study.columns.patient], strange, places, site.rows)
    excluded = Counter(reasons[reasons != ""].tolist())
    problems = _problems(places, counts, firsts, excluded, site.rows)
    kept = frame[reasons == ""].reset_index(drop=True) if excluded else frame
    if kept.empty:
        raise TableError(
            f"no row is left: {_listed(excluded)}", where=source.where, remedy="see [rows]"
        )
    return Reading(kept, rows, dict(excluded), counts, problems, places)


def _chunks(source: Source, places: Sequence[Mapped], most: int) -> Iterator[pd.DataFrame]:
    """Yield the source's chunks until they hold more rows than the hospital allows."""
    rows = 0
    chunks = source.chunks(local_columns(places))
    try:
        for chunk in chunks:
            rows += len(chunk)
            if rows > most:
                raise TableError(
                    f"there are more than {most:,} rows",
                    where=source.where,
                    remedy="select fewer, or raise `max_rows` in [rows] if memory allows",
                )
            yield chunk
    except WardroundError:
        raise
    except Exception as error:
        # A driver's own text can quote what it could not read; only the kind of failure is told.
        raise TableError(
            f"reading failed after {rows:,} rows: {type(error).__name__}",
            where=source.where,
            remedy="check the file's encoding, or the database's log; nothing was kept",
        ) from None
    finally:
        close(chunks)


def close(chunks: Iterator[pd.DataFrame]) -> None:
    """Let a source go now: an error on its way up would hold its file, or its threads, open."""
    if isinstance(chunks, Generator):
        chunks.close()


def local_columns(places: Sequence[Mapped]) -> list[str]:
    """Return the columns to ask a source for, each once."""
    return list(dict.fromkeys(place.local for place in places if place.local))


def _entries_of(chunk: pd.DataFrame, place: Mapped) -> Entries:
    if not place.local:  # a column that the hospital does not have
        return entries_of(pd.Series([""] * len(chunk), dtype="str"), place)
    try:
        return entries_of(chunk[place.local], place)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TableError(
            f"column {place.said} cannot be read: {type(error).__name__}",
            where="source",
            remedy="give it as numbers or texts: no lists, no nested tables",
        ) from None


def _mapped(
    chunk: pd.DataFrame,
    places: Sequence[Mapped],
    counts: Mapping[str, Counter[int]],
    firsts: dict[tuple[str, int], int],
    *,
    start: int,
) -> _Chunk:
    """Return a chunk in the study's columns; its impossible entries are added to the counts."""
    columns: dict[str, Any] = {}
    strange = np.zeros(len(chunk), dtype=np.int16)
    for i, place in enumerate(places, start=1):
        name = place.wanted.name
        columns[name], reasons = _entries_of(chunk, place)
        for reason in np.unique(reasons[reasons != 0]).tolist():
            offending = reasons == reason
            counts[name][reason] += int(offending.sum())
            firsts.setdefault((name, reason), start + int(offending.argmax()) + 1)
        strange[(strange == 0) & (reasons != 0)] = i
    return _Chunk(columns, strange)


def _joined(
    chunks: Sequence[_Chunk], places: Sequence[Mapped]
) -> tuple[pd.DataFrame, NDArray[np.int16]]:
    columns = {}
    for name in (place.wanted.name for place in places):
        parts = [chunk.columns.pop(name) for chunk in chunks]
        whole = (
            union_categoricals(parts)
            if isinstance(parts[0], pd.Categorical)
            else pd.concat(parts, ignore_index=True)
        )
        columns[name] = whole
    return pd.DataFrame(columns), np.concatenate([chunk.strange for chunk in chunks])


def _excluding(
    names: "pd.Series[str]", strange: NDArray[np.int16], places: Sequence[Mapped], rules: RowRules
) -> NDArray[np.object_]:
    """Return why each row is left out [n], "" where it is not: one reason a row.

    A patient with two rows is one also if one of them is impossible: which is right is not ours to
    guess.
    """
    reasons = np.full(len(names), "", dtype=object)
    if rules.impossible == "exclude":
        why = ["", *(f"impossible value in {place.wanted.name}" for place in places)]
        reasons = np.array(why, dtype=object)[strange]
    reasons[names.duplicated(keep=False).to_numpy()] = DUPLICATE
    reasons[(names == "").to_numpy()] = UNNAMED
    return reasons


def _problems(
    places: Sequence[Mapped],
    counts: Mapping[str, Mapping[int, int]],
    firsts: Mapping[tuple[str, int], int],
    excluded: Mapping[str, int],
    rules: RowRules,
) -> tuple[Problem, ...]:
    found: list[Problem] = []
    patient = places[0]
    name = patient.wanted.name
    if rules.impossible == "refuse":
        for place in places:
            column = place.wanted.name
            for reason, count in counts[column].items():
                what, remedy = REASONS[reason]
                said = f"column {place.said} has {_entries(count)} {what}"
                said += f", the first in row {firsts[column, reason]:,}"
                found.append(Problem(column, said, f"{remedy}; {POLICY}"))
        if empty := excluded.get(UNNAMED, 0):
            said = f"column {patient.said} has {_entries(empty)} without a name"
            found.append(Problem(name, said, f"name the patient of every row; {POLICY}"))
    if rules.duplicates == "refuse" and (twice := excluded.get(DUPLICATE, 0)):
        said = f"{twice:,} rows share their patient (column {patient.said}) with another row"
        remedy = 'keep one row a patient, or leave these patients out: duplicates = "exclude"'
        found.append(Problem(name, said, remedy))
    return tuple(found)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _listed(excluded: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in excluded.items())
