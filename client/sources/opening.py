"""From the section [source] of site.toml to a source."""

from pathlib import Path

from client.source_settings import FhirSource, FileSource, OmopSource, SourceSettings, SqlSource
from client.sources.base import Source
from client.sources.csv_file import CsvFile
from client.sources.parquet_file import ParquetFile
from common.errors import SettingsError

_CSV = (".csv", ".tsv", ".txt")


def open_source(settings: SourceSettings, folder: Path, *, timezone: str = "UTC") -> Source:
    """Return the source that the settings name. Nothing is read yet.

    Args:
        settings: the section [source] of site.toml.
        folder: the node's; relative paths start there.
        timezone: of dates that have none (`rows.timezone` of site.toml).

    Raises:
        SettingsError: a setting cannot be, a password is not where it should be, or a library is
            missing.
    """
    if isinstance(settings, FileSource):
        return _file(settings, folder)
    try:
        if isinstance(settings, SqlSource):
            return _sql(settings, folder)
        if isinstance(settings, OmopSource):
            return _omop(settings, folder)
        return _fhir(settings, folder, timezone)
    except ModuleNotFoundError:
        raise SettingsError(
            f"a source of kind {settings.kind} needs libraries that are not installed",
            where="site.toml",
            remedy="pip install 'wardround[node]'",
        ) from None


def _file(settings: FileSource, folder: Path) -> Source:
    path = folder / settings.path
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ParquetFile(path)
    if suffix in _CSV:
        return CsvFile(settings, path)
    raise SettingsError(
        "source.path names no table", where=str(path), remedy="export a .csv or .parquet file"
    )


def _sql(settings: SqlSource, folder: Path) -> Source:
    from client.sources.database import database_of
    from client.sources.duckdb_file import DuckdbRows
    from client.sources.sql import SqlRows

    database = database_of(settings, folder)
    if database.url.get_backend_name() == "duckdb":
        return DuckdbRows(settings, database, folder)
    return SqlRows(settings, database)


def _omop(settings: OmopSource, folder: Path) -> Source:
    from client.sources.omop import omop_rows

    return omop_rows(settings, folder)


def _fhir(settings: FhirSource, folder: Path, timezone: str) -> Source:
    from client.sources.fhir import fhir_rows

    return fhir_rows(settings, folder, timezone=timezone)
