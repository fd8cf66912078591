"""`wardround coordinator export`: what a federation gives away. Heavy imports stand inside."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    *,
    output: Annotated[Path, typer.Option(help="Folder to publish, a new one.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="The coordinator's folder: its key signs, its study's seal is added."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="study.toml, where the run's folder holds none.")
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Export a paused run too, marked so in every part."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Write what is published of a finished run: model, card, study, record, privacy, manifest.

    RUN is the run's folder.
    """
    from server.coordinator.folder import open_folder
    from server.publishing.exporting import export as write
    from server.publishing.reading import open_run

    coordinator = open_folder(folder) if folder else None
    given = open_run(run, study=study, coordinator=coordinator, unfinished=unfinished)
    made = write(given, output, now=datetime.now(UTC))
    if as_json:
        dump = made.model_dump(mode="json")
        sys.stdout.write(json.dumps({"schema": 1, "output": str(output)} | dump, indent=1) + "\n")
        return
    state = "finished" if made.finished else "UNFINISHED"
    lines = [f"{state}: {made.name}, {made.rounds} of {made.planned} rounds, study {made.study}"]
    lines += [f"Note: {note}" for note in made.notes]
    lines += [f"Signed by {made.signer}"] if made.signer else []
    lines += [f"Wrote {output}, {len(made.files)} files. Check: wardround verify {output}"]
    sys.stdout.write("\n".join(lines) + "\n")
