"""Who is slow, and who opens too many connections, is cut off by the edge."""

import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from server.coordinator.folder import CoordinatorFolder
from tests.coordinating import make_folder, with_limits
from tests.server.coordinator.served import (
    FLEET,
    HEADS,
    Echo,
    edge,
    impatient,
    line,
    rest,
    sent_on,
    silent,
    trust,
    url,
)


@pytest.fixture
def folder(folder: CoordinatorFolder) -> CoordinatorFolder:
    return impatient(folder)


@pytest.mark.parametrize("sent", HEADS)
def test_who_sends_a_head_too_slowly_is_cut_off(folder: CoordinatorFolder, sent: bytes) -> None:
    with edge(folder), line(folder) as tls:
        stop = threading.Event()

        def drip() -> None:
            more = sent and sent_on(tls, sent)
            while more and not stop.wait(0.2):
                more = sent_on(tls, b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        rest(tls)
        stop.set()
        dripping.join()


def test_who_goes_on_sending_after_the_answer_is_cut_off(folder: CoordinatorFolder) -> None:
    with edge(folder), line(folder) as tls:
        tls.sendall(b"PUT /enrol HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n")
        assert b" 405 " in tls.recv(20)
        dripped = 0
        while dripped < 100 and sent_on(tls, b"x"):
            dripped += 1
            time.sleep(0.2)
        assert dripped < 100


def test_who_never_shakes_hands_is_cut_off(folder: CoordinatorFolder) -> None:
    with edge(folder), closing(silent(folder)) as raw:
        assert raw.recv(1) == b""


def test_who_sends_a_body_too_slowly_is_told_so(folder: CoordinatorFolder) -> None:
    with edge(folder, Echo()):
        for path in ("/enrol", FLEET):
            with line(folder) as tls:
                head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx"
                tls.sendall(head.encode())
                found = rest(tls)
                assert found.startswith(b"HTTP/1.1 408 "), found


def test_one_address_cannot_hold_all_connections(tmp_path: Path) -> None:
    folder = with_limits(make_folder(tmp_path / "c"), connections_per_address=2, head_s=30)
    with edge(folder), ExitStack() as stack:
        held = [stack.enter_context(closing(silent(folder))) for _ in range(3)]
        assert held[-1].recv(1) == b""


def test_places_of_those_who_have_gone_are_free_again(tmp_path: Path) -> None:
    folder = with_limits(make_folder(tmp_path / "c"), connections_per_address=2, head_s=1)
    with edge(folder):
        for _ in range(3):
            with closing(silent(folder)), closing(silent(folder)) as second:
                assert second.recv(1) == b""  # its handshake is too late
        for _ in range(5):
            with httpx.Client(verify=trust(folder), trust_env=False, timeout=20) as client:
                assert client.get(url(folder, "/health")).status_code == 200
            time.sleep(0.1)


def test_all_together_hold_no_more_connections_than_set(tmp_path: Path) -> None:
    folder = with_limits(make_folder(tmp_path / "c"), connections=4, head_s=30)
    with edge(folder), ExitStack() as stack:
        held = [stack.enter_context(closing(silent(folder))) for _ in range(5)]
        assert held[-1].recv(1) == b""
