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
    runtime: Annotated[
        str,
        typer.Option(
            help="host:port where the SuperNode serves the executor, if each has a container of "
            "its own: a network without anybody else. Default: loopback."
        ),
    ] = "",
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

    if runtime and only is None:
        raise SettingsError(
            "both parts run here, and find each other on loopback",
            where="--runtime",
            remedy="give it with --only, to each part",
        )
    serve(open_place(folder, runtime), (only.value,) if only else PARTS)


def status(
    *,
    folder: Folder = Path(),
    only: Annotated[Only | None, typer.Option(help="Look at one part only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Say whether the node runs and is connected; the exit code is 0 only then."""
    from client.executor.place import PARTS
    from client.executor.status import in_words, summary

    about = summary(folder, wanted=(only.value,) if only else PARTS)
    sys.stdout.write((json.dumps(about, indent=1) if as_json else in_words(about)) + "\n")
    if about["state"] != "connected":
        raise typer.Exit(1)
