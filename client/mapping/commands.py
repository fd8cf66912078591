"""`wardround node map` and `wardround node check`: from a hospital's columns to a study's.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.mapping.proposing import Proposal
    from client.site_file import SiteFile
    from client.sources.base import Source

Folder = Annotated[Path, typer.Option(help="Folder of the node, which holds site.toml.")]
StudyFile = Annotated[
    Path | None, typer.Option(help="study.toml of the study; that in the folder if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def map_columns(
    *,
    folder: Folder = Path(),
    study: StudyFile = None,
    site: Annotated[str, typer.Option(help="First site.toml: your name in the roster.")] = "",
    source_kind: Annotated[str, typer.Option(help="First site.toml: file or sql.")] = "file",
    path: Annotated[str, typer.Option(help="First site.toml: the CSV or Parquet file.")] = "",
    encoding: Annotated[str, typer.Option(help="First site.toml: the file's encoding.")] = "",
    separator: Annotated[str, typer.Option(help="First site.toml: between a CSV's entries.")] = "",
    url: Annotated[str, typer.Option(help="First site.toml: database, without password.")] = "",
    table: Annotated[str, typer.Option(help="First site.toml: table in the database.")] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Add the proposed [[columns]] to site.toml.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Propose which of your columns stand for the study's, and write a first site.toml."""
    from client.hospital import Hospital
    from client.mapping.map_report import about, show
    from client.mapping.proposing import propose
    from client.mapping.site_text import append_source
    from client.site_file import SITE_FILE, read_site_file
    from common.study import read_study

    given = {"path": _place(path, folder), "encoding": encoding, "separator": separator}
    given |= {"url": url, "table": table}
    there = (folder / SITE_FILE).exists()
    rules = read_site_file(folder) if there else _first(site, source_kind, given)
    if rules.source is None:
        append_source(folder, Hospital(folder, _first(rules.site, source_kind, given)).source)
        rules = read_site_file(folder)
    proposals = propose(_open(rules, folder), rules, read_study(study or folder / "study.toml"))
    wrote = _written(folder, rules, proposals, first=not there, add=write)
    found = about(proposals, site_toml=str(folder / SITE_FILE), wrote=wrote)
    _print(json.dumps(found, indent=1)) if as_json else show(found)


def check(
    *,
    folder: Folder = Path(),
    study: StudyFile = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as this HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read all your patients as the study would, and say what is wrong; nothing leaves."""
    from client.mapping.check_page import check_html
    from client.mapping.check_report import as_json as for_machines
    from client.mapping.check_report import show
    from client.mapping.checking import check_source
    from client.site_file import read_site_file
    from common.files import write_atomically
    from common.study import read_study

    rules = read_site_file(folder)
    report = check_source(_open(rules, folder), rules, read_study(study or folder / "study.toml"))
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(html, check_html(report).encode())  # of mode 0600
    _print(json.dumps(for_machines(report), indent=1)) if as_json else show(report)
    if report.verdict == "problem":
        raise typer.Exit(1)


def _written(
    folder: Path, rules: "SiteFile", proposals: "list[Proposal]", *, first: bool, add: bool
) -> bool:
    """Write a first site.toml, or add rules to an old one if asked to; return whether any was."""
    from client.hospital import Hospital
    from client.mapping.site_text import append_rules, first_site_toml, write_first

    if first:
        source = Hospital(folder, rules).source
        write_first(folder, first_site_toml(rules.site, source, proposals))
    return first or (add and append_rules(folder, proposals) > 0)


def _place(path: str, folder: Path) -> str:
    """Return a file's path as site.toml needs it: relative to its folder, or absolute."""
    here = bool(path) and not (folder / path).exists() and Path(path).exists()
    return str(Path(path).resolve()) if here else path


def _first(site: str, kind: str, given: Mapping[str, str]) -> "SiteFile":
    """Return the rules of a hospital that has none yet: where its patients are, all else strict."""
    from pydantic import ValidationError

    from client.site_file import SiteFile
    from common.errors import SettingsError
    from common.study_sections import wrong_setting

    missing = "--site" if not site else "--path" if kind == "file" and not given["path"] else ""
    if missing or kind not in ("file", "sql"):
        raise SettingsError(
            "no site.toml says where your patients are, and "
            f"{missing or '--source-kind ' + kind[:20]} does not say enough",
            where="wardround node map",
            remedy="add --site NAME --path FILE, or --site NAME --source-kind sql --url URL "
            "--table NAME; for omop and fhir write [source] by hand (docs/site.md)",
        )
    source = {"kind": kind} | {key: value for key, value in given.items() if value}
    try:
        return SiteFile.model_validate({"schema": 1, "site": site, "source": source})
    except ValidationError as error:
        raise wrong_setting(
            error, whole="[source]", where="wardround node map", remedy="see docs/site.md"
        ) from None


def _open(rules: "SiteFile", folder: Path) -> "Source":
    from client.hospital import Hospital
    from client.sources.opening import open_source

    return open_source(Hospital(folder, rules).source, folder, timezone=rules.rows.timezone)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
