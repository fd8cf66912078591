"""`wardround node dry-run`: exactly what would leave, before anything does.

Heavy imports stand inside the command, so that --help is quick.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.dry.fields import Field
    from client.dry.rehearsal import Rehearsed


def dry_run(
    *,
    folder: Annotated[Path, typer.Option(help="The node's folder, with site.toml.")] = Path(),
    study: Annotated[str, typer.Option(help="Id of an approved study.")] = "",
    output: Annotated[Path, typer.Option(help="Folder for the bytes.")] = Path("dry-run"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Compute one round of an approved study offline, and write the bytes that would be sent."""
    from client.dry.rehearsal import rehearse, write_rehearsal
    from client.gate.audit import REVIEWED, AuditLog
    from client.gate.gate import admit

    admitted = admit(folder, _chosen(folder, study))
    rehearsed = rehearse(admitted)
    write_rehearsal(rehearsed, output)
    AuditLog.open(admitted.hospital.state).note(REVIEWED, {"study": admitted.study.id})
    if as_json:
        messages = [_about(one) for one in rehearsed]
        sys.stdout.write(json.dumps({"schema": 1, "messages": messages}) + "\n")
    else:
        _show([field for one in rehearsed for field in one.fields])
        total = sum(sum(map(len, one.objects.values())) for one in rehearsed)
        sys.stdout.write(
            f"Nothing was sent and nothing was paid. The {total} bytes are in {output}, a file for "
            "each object, named by its SHA-256.\nThey hold a release that nobody has paid for: do "
            "not give them away.\n"
        )


def _chosen(folder: Path, study: str) -> str:
    from client.gate.approvals import approved_studies
    from client.hospital import open_hospital
    from common.errors import SettingsError

    known = approved_studies(open_hospital(folder).state)
    found = [one for one in known if one.startswith(study)]
    if len(found) != 1:
        raise SettingsError(
            f"{len(found)} approved studies fit",
            where="--study",
            remedy=f"name one of: {', '.join(known)}" if known else "wardround node approve STUDY",
        )
    return found[0]


def _about(one: "Rehearsed") -> dict[str, object]:
    fields = [field._asdict() for field in one.fields]
    sizes = {name: len(data) for name, data in one.objects.items()}
    return {"message": one.message, "fields": fields, "objects": sizes}


def _show(fields: "list[Field]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What would leave in one round", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("message", "field", "type", "shape", "bytes", "could reveal", "covered by"):
        table.add_column(column, justify="right" if column == "bytes" else "left")
    for one in fields:
        table.add_row(*(str(value) for value in one))
    Console().print(table)
