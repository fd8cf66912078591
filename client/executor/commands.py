"""`wardround node start` and `wardround node status`: heavy imports stand inside."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option(help="The node's folder, which holds site.toml.")]


class Only(StrEnum):
    """A part of the node that runs as a service of its own."""

    supernode = "supernode"
    executor = "executor"


def start(
    *,
    folder: Folder = Path(),
    only: Annotated[
        Only | None, typer.Option(help="Run one part; the other is a service of its own.")
    ] = None,
) -> None:
    """Run the node in the foreground until it is stopped (Ctrl-C or SIGTERM)."""
    from importlib.util import find_spec

    from client.executor.place import PARTS, open_place
    from common.errors import SettingsError

    for library in ("structlog", "prometheus_client"):
        if find_spec(library) is None:
            raise SettingsError(
                f"{library} is not installed",
                where="installed packages",
                remedy="pip install 'wardround[node]'",
            )
    from client.executor.service import serve

    serve(open_place(folder), (only.value,) if only else PARTS)


def status(
    *,
    folder: Folder = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Say whether the node runs and is connected; the exit code is 0 only then."""
    from client.executor.status import in_words, summary

    about = summary(folder)
    sys.stdout.write((json.dumps(about, indent=1) if as_json else in_words(about)) + "\n")
    if about["state"] != "connected":
        raise typer.Exit(1)
