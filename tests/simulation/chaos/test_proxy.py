"""The line's faults, against a server that echoes."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from simulation.chaos.proxy import Line


@pytest.fixture
def line() -> Iterator[Line]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_echo, args=(server,), daemon=True).start()
        line = Line(server.getsockname()[1])
        yield line
        line.close()


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)


def _talk(line: Line, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", line.port), timeout=5) as talking:
        talking.sendall(text)
        return talking.recv(100)


def test_a_whole_line_changes_nothing(line: Line) -> None:
    assert _talk(line, b"hello") == b"hello"


def test_a_spoiled_chunk_comes_with_one_bit_changed_and_the_next_is_whole(line: Line) -> None:
    line.spoil(1)
    assert _talk(line, b"hello") == b"helln"
    assert _talk(line, b"hello") == b"hello"


def test_a_cut_line_lets_nothing_through_until_it_is_mended(line: Line) -> None:
    line.cut()
    with pytest.raises(ConnectionError):
        _must(_talk(line, b"hello"))
    line.mend()
    assert _talk(line, b"hello") == b"hello"


def _must(answer: bytes) -> None:
    if not answer:
        raise ConnectionResetError
