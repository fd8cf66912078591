"""A small hospital in memory: a study, a site.toml and a source that gives its rows in chunks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from client.mapping.reading import Reading, read_patients
from client.site_file import SiteFile
from client.sources.base import LocalColumn
from common.errors import SettingsError, TableError
from common.study import Study, make_study

WHERE = "ward.csv"
SECRET = "4711.25"
"""A value that no error may repeat."""


class Fake:
    """A source of given rows. fail: the number of chunks after which reading breaks."""

    def __init__(
        self,
        rows: Mapping[str, Sequence[Any]],
        *,
        units: Mapping[str, str] | None = None,
        chunk: int = 3,
        fail: tuple[int, Exception] | None = None,
    ) -> None:
        self.rows, self.units, self.chunk, self.fail = rows, units or {}, chunk, fail
        self.given = 0

    @property
    def where(self) -> str:
        return WHERE

    def columns(self) -> list[LocalColumn]:
        return [LocalColumn(name, self.units.get(name, "")) for name in self.rows]

    def chunks(self, columns: Sequence[str], *, rows: int = 0) -> Iterator[pd.DataFrame]:
        size = rows or self.chunk
        total = len(next(iter(self.rows.values())))
        for start in range(0, total, size):
            if self.fail and self.given == self.fail[0]:
                raise self.fail[1]
            self.given += 1
            # Each chunk has its own types, as a CSV or a database gives them.
            yield pd.DataFrame({c: list(self.rows[c][start : start + size]) for c in columns})


WRONG_ENCODING = TableError(
    "the file is not valid utf-8-sig", where=WHERE, remedy="set `encoding` in [source]"
)


def study(**settings: Any) -> Study:
    whole = {
        "name": "chest pain",
        "features": [
            {"name": "age", "unit": "years", "usual": [30, 80], "plausible": [0, 120]},
            {"name": "sbp", "unit": "mm[Hg]", "usual": [100, 160], "plausible": [50, 300]},
            {"name": "chol", "unit": "mg/dL", "usual": [140, 320], "plausible": [1, 2000]},
            {"name": "smokes", "kind": "binary"},
            {"name": "sex", "kind": "category", "categories": ["F", "M"]},
        ],
        "tasks": [{"name": "infarction", "column": "icd", "positive": ["I21"]}],
        "episodes": {"support": 2, "query": 2},
    }
    return make_study(whole | settings, where="test")


def site(**settings: Any) -> SiteFile:
    whole = {"schema": 1, "site": "Ash", "source": {"kind": "file", "path": WHERE}}
    return SiteFile.model_validate(whole | settings)


def ward(**columns: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Eight patients in the study's own columns; `columns` replaces or adds."""
    whole: dict[str, Sequence[Any]] = {
        "patient_id": [f"p{i}" for i in range(8)],
        "age": ["50", "61", "42", "", "77", "38", "59", "66"],
        "sbp": ["120", "135", "141", "118", "160", "", "122", "133"],
        "chol": ["200", "233", "286", "229", "250", "204", "", "241"],
        "smokes": ["yes", "no", "no", "t", "f", "", "1", "0"],
        "sex": ["F", "M", "M", "F", "", "M", "F", "M"],
        "icd": ["I21", "I50", "I21", "I50", "I50", "", "I21", "I50"],
    }
    return whole | columns


def read(
    table: Mapping[str, Sequence[Any]], *, units: dict[str, str] | None = None, **settings: Any
) -> Reading:
    """Return the table's patients as a site of these settings reads them."""
    return read_patients(Fake(table, units=units), site(**settings), study())


def refusal(table: Mapping[str, Sequence[Any]], **settings: Any) -> str:
    """Return why the table is not read."""
    with pytest.raises((TableError, SettingsError)) as caught:
        read(table, **settings)
    return str(caught.value)


def column(study_name: str, local: str, **rule: Any) -> dict[str, Any]:
    """Return a rule of [[columns]]."""
    return {"study": study_name, "local": local, **rule}
