"""The live page on a real socket, in a thread of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from fastapi import FastAPI

from server.page.serving import PageServer, address_of, bind


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve the page on a port of this machine, 0: a free one; yield its address."""
    with bind("127.0.0.1", port) as listener:
        server = PageServer(app)
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield address_of(listener)
        finally:
            server.handle_exit(15, None)
            thread.join(10)
            assert not thread.is_alive()
