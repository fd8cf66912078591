"""Serving the page: on this machine only unless told otherwise, and ending when told to."""

import secrets
import socket
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from common.errors import RunFolderError, SettingsError
from common.files import write_atomically
from common.study import Study
from server.page.app import make_page
from server.page.guard import token_digest

SHORTEST_TOKEN = 32
GRACE_S = 3


class PageServer(uvicorn.Server):
    """Ends on SIGINT and SIGTERM with exit code 0, and lets open streams end before it does."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # lets through visible ASCII alone in a request's first line
                timeout_graceful_shutdown=GRACE_S,
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                ws="none",
                lifespan="off",
            )
        )
        self._streams = app.state.streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal does not wait."""
        self._streams.closing = True
        self.force_exit = self.should_exit
        self.should_exit = True


def open_page(
    folder: Path, token_file: Path | None, study: Study | None, names: Collection[str]
) -> FastAPI:
    """Return the page of a run; token_file: None makes it read-only. Others: as `make_page`.

    Raises:
        RunFolderError: there is no such folder.
        SettingsError: the study or the token cannot be used.
    """
    if not folder.is_dir():
        raise RunFolderError("no such folder", where=str(folder), remedy="name a run's folder")
    token_hash = token_digest(token_in(token_file)) if token_file else None
    return make_page(folder, token_hash=token_hash, study=study, names=names)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket at an address; port 0 takes a free one.

    Raises:
        SettingsError: it cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as undo:
            listener = undo.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            undo.pop_all()
    except OSError as error:
        raise SettingsError(
            f"the page cannot be served: {error.strerror}",
            where=f"{host}, port {port}",
            remedy="choose another --port, or a --host of this machine",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a page that is served on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def token_in(path: Path) -> str:
    """Return the token in a file; a missing file is made, mode 0600.

    Raises:
        SettingsError: others can read it, or it is too short to be a secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, f"{secrets.token_urlsafe(32)}\n".encode())
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            "the token can be read by others", where=str(path), remedy=f"chmod 600 {path}"
        )
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii():
        raise SettingsError(
            f"a token has {SHORTEST_TOKEN} plain characters or more",
            where=str(path),
            remedy="remove the file; a new one is made",
        )
    return token
