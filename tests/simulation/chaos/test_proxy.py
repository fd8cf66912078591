"""The line's faults, against a server that echoes."""

import socket
import time
from collections.abc import Iterator
from threading import Thread, Timer

import pytest

from simulation.chaos.proxy import SHAKEN_BYTES, Line


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


def _must(answer: bytes | bool) -> None:
    if not answer:
        raise ConnectionResetError


def test_a_lost_reply_breaks_the_connection_after_the_request_has_arrived(line: Line) -> None:
    long = b"x" * (SHAKEN_BYTES + 1)
    line.lose_replies(1)
    assert _talk(line, b"hello") == b"hello"  # so short is a handshake
    with pytest.raises(ConnectionError):
        _must(_echoed(line, long) == long)  # what came before the break may arrive
    assert _echoed(line, long) == long


def test_a_held_line_passes_all_on_when_it_is_mended(line: Line) -> None:
    line.hold()
    Timer(0.2, line.mend).start()
    began = time.monotonic()
    assert _talk(line, b"hello") == b"hello"
    assert time.monotonic() - began > 0.1


def test_a_detour_leads_to_another_server_until_the_line_is_mended(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        Thread(target=_shout, args=(other,), daemon=True).start()
        line.detour(other.getsockname()[1])
        assert _talk(line, b"hello") == b"HELLO"
        line.mend()
        assert _talk(line, b"hello") == b"hello"


def _shout(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(100).upper())


def _echoed(line: Line, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", line.port), timeout=5) as talking:
        talking.sendall(text)
        talking.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: talking.recv(10_000), b""))
