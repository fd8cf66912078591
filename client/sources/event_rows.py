"""A source made of dated events: OMOP or FHIR fill the stage, the windows do the rest."""

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pandas as pd

from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.guard import Errors, Tell, check_columns, quiet_steps, quietly
from client.sources.plan import BUILT_IN, COUNTS, Plan
from client.sources.stage import Stage, staged
from client.sources.windows import frequent_units, person_rows


class EventRows:
    """One row a person of the cohort. Each reading fills a stage of its own, and removes it.

    fill: brings persons and events to the stage. errors, tell: of what may go wrong, and what to
    make of it.
    """

    def __init__(
        self,
        plan: Plan,
        node: Path,
        *,
        where: str,
        fill: Callable[[Stage], None],
        errors: Errors,
        tell: Tell,
    ) -> None:
        self._plan, self._node, self._where = plan, node, where
        self._fill, self._errors, self._tell = fill, errors, tell

    @property
    def where(self) -> str:
        """The folder, file or database."""
        return self._where

    def columns(self) -> list[LocalColumn]:
        """Return person_id, sex and age, the features with their units, and the labels.

        A feature's unit is the one that site.toml asks for, else the most frequent one.

        Raises:
            TableError: the source cannot be read.
        """
        units = quietly(self._units, self._errors, self._tell)
        asked = [slot for slot in self._plan.slots if slot.kind != "index"]
        return [*BUILT_IN, *(LocalColumn(s.name, units.get(s.number, "")) for s in asked)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the persons of the cohort in these columns, in order of person_id as text.

        Raises:
            TableError: the source cannot be read to its end.
        """
        return quiet_steps(self._chunks(columns, rows), self._errors, self._tell)

    def _units(self) -> dict[int, str]:
        slots = [s for s in self._plan.of_kind("feature") if s.how not in COUNTS]
        units = {slot.number: slot.unit for slot in slots}
        with staged(self._plan, self._node) as stage:
            self._fill(stage)  # also where all units are known: what cannot be read is told
            found = frequent_units(stage)
        return {number: unit or found.get(number, "") for number, unit in units.items()}

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        wanted = check_columns(columns, self._plan.names(), where=self.where)
        with staged(self._plan, self._node) as stage:
            self._fill(stage)
            yield from person_rows(stage, wanted, rows)
