"""`wardround coordinator page`: a run folder as a live page."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def page(
    *,
    folder: Annotated[Path, typer.Option(help="The run's folder, as the server writes it.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8300,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Holds the coordinator's token; made if missing. Without: read-only."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="study.toml, if the folder does not hold it.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on. Whoever reaches it can read the page.")
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None, typer.Option(help="Host name of the page beside localhost; repeatable.")
    ] = None,
) -> None:
    """Show a run live: state, sites, rounds; pause, resume and stop for who holds the token."""
    from common.errors import RunFolderError
    from common.study import read_study
    from server.page.app import make_page
    from server.page.guard import token_digest
    from server.page.serving import PageServer, address_of, bind, token_in

    if not folder.is_dir():
        raise RunFolderError("no such folder", where=str(folder), remedy="name a run's folder")
    token_hash = token_digest(token_in(token_file)) if token_file else None
    read = read_study(study) if study else None
    app = make_page(folder, token_hash=token_hash, study=read, names=name or ())
    with bind(host, port) as listener:
        sys.stdout.write(f"{address_of(listener)}\n")
        sys.stdout.flush()
        PageServer(app).run([listener])
