"""The edge as it is served: TLS 1.3, parts pass as they come, and no trick on the wire helps."""

import asyncio
import socket
import ssl
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import server.coordinator.serving as module
from common.errors import SettingsError
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.serving import EdgeServer
from tests.coordinating import make_folder, serving, upstream, with_limits
from tests.server.coordinator.asking import TRICKS
from tests.server.coordinator.served import (
    CHUNKED,
    FLEET,
    MEBI,
    Echo,
    edge,
    impatient,
    line,
    post,
    rest,
    sent_on,
    trust,
    until,
)


@pytest.fixture
def folder(folder: CoordinatorFolder) -> CoordinatorFolder:
    return impatient(folder)


def test_a_request_passes_with_its_headers_and_comes_back(folder: CoordinatorFolder) -> None:
    echo = Echo()
    with edge(folder, echo):
        headers = {"flwr-signature": "x", "x-forwarded-for": "192.0.2.9", "te": "trailers"}
        reply = post(folder, content=b"asked", headers=headers)
    assert (reply.status_code, reply.content, reply.headers["flwr-thing"]) == (
        207,
        b"asked",
        "back",
    )
    assert echo.paths == [FLEET.encode()]
    assert echo.headers[b"flwr-signature"] == b"x"
    assert not {b"x-forwarded-for", b"te"} & echo.headers.keys()
    assert echo.headers[b"content-length"] == b"5"


def test_parts_pass_as_they_come_in_both_directions(folder: CoordinatorFolder) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    async def by_parts(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        arrived.set()  # the first part is here; the second is sent only after that
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.to_thread(go_on.wait, 10)
        await send({"type": "http.response.body", "body": b"two"})

    folder = with_limits(folder)
    with edge(folder, by_parts), line(folder) as tls:
        tls.sendall(CHUNKED + b"5\r\nfirst\r\n")
        assert arrived.wait(10)
        tls.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        assert until(tls, b"one")
        go_on.set()
        assert until(tls, b"two")


def test_a_large_body_is_never_held_as_a_whole(folder: CoordinatorFolder) -> None:
    echo, content = Echo(), bytes(12 * MEBI)
    with edge(folder, echo):
        assert post(folder, content=content).content == content
    assert echo.longest < 2 * MEBI


def test_a_body_that_is_too_large_is_cut_off(folder: CoordinatorFolder) -> None:
    echo = Echo()
    with edge(folder, echo):
        assert post(folder, content=bytes(16 * MEBI + 1)).status_code == 413
        assert echo.paths == []
        with line(folder) as tls:
            tls.sendall(CHUNKED)
            part = b"100000\r\n" + bytes(MEBI) + b"\r\n"
            assert not all(sent_on(tls, part) for _ in range(64))


def test_without_a_superlink_the_hospital_is_told_to_try_again(folder: CoordinatorFolder) -> None:
    with edge(folder):
        assert post(folder, content=b"x").status_code == 502


def test_a_stranger_in_the_superlinks_place_gets_nothing(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    echo, other = Echo(), make_folder(tmp_path / "other")
    stranger = other._replace(settings=folder.settings)
    with serving(upstream(stranger, echo)), serving(EdgeServer(folder)):
        assert post(folder, content=b"x").status_code == 502
    assert echo.paths == []


def test_a_superlink_that_breaks_off_ends_the_answer(folder: CoordinatorFolder) -> None:
    async def break_off(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})

    with edge(folder, break_off), pytest.raises(httpx.RemoteProtocolError):
        post(folder, content=b"x")


def test_older_versions_of_tls_are_refused(folder: CoordinatorFolder) -> None:
    old = trust(folder)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with edge(folder):
        raw = socket.create_connection(("127.0.0.1", folder.settings.edge.port), timeout=10)
        with closing(raw), pytest.raises(ssl.SSLError):
            old.wrap_socket(raw, server_hostname="localhost")


def test_no_trick_on_the_wire_reaches_flower(folder: CoordinatorFolder) -> None:
    echo = Echo()
    with edge(with_limits(folder, enrol_burst=1000), echo) as server:
        port = server.config.port
        here = folder._replace(settings=server._folder.settings)
        for target in filter(None, TRICKS):
            with line(here) as tls:
                tls.sendall(
                    b"POST " + target + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
                )
                assert tls.recv(13) in (b"HTTP/1.1 404 ", b"HTTP/1.1 400 "), (port, target)
    assert echo.paths == []


def test_a_smuggled_second_request_is_held_against_the_list_too(folder: CoordinatorFolder) -> None:
    echo = Echo()
    inner = b"POST /v1/control/list-nodes HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    with edge(folder, echo):
        for framing in (
            b"content-length: 0\r\n",
            b"content-length: 0\r\ntransfer-encoding: chunked\r\n",
            b"content-length: 0\r\ncontent-length: %d\r\n" % len(inner),
        ):
            with line(folder) as tls:
                start = f"POST {FLEET} HTTP/1.1\r\nhost: a\r\n".encode()
                tls.sendall(start + framing + b"\r\n" + inner)
                assert b"list" not in rest(tls)
    assert set(echo.paths) <= {FLEET.encode()}


def test_a_port_in_use_is_told_as_such(folder: CoordinatorFolder) -> None:
    taken = socket.create_server(("127.0.0.1", folder.settings.edge.port))
    with closing(taken), pytest.raises(SettingsError, match="cannot listen"):
        module.serve_edge(folder)


def test_an_overlong_head_is_refused(folder: CoordinatorFolder) -> None:
    with edge(folder), line(folder) as tls:
        tls.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + bytes(b"y" * 40_000))
        assert b" 400 " in rest(tls)[:20]


def test_a_renewed_certificate_is_shown_without_a_restart(
    folder: CoordinatorFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> bytes | None:
        with line(folder) as tls:
            return tls.getpeercert(binary_form=True)

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls.fromtimestamp((datetime.now(UTC) + timedelta(days=61)).timestamp(), UTC)

    with edge(folder) as server:
        before = shown()
        assert not server.renew()
        assert shown() == before
        monkeypatch.setattr(module, "datetime", Later)
        assert server.renew()
        # The new one is valid from then on only, so it is fetched without being believed.
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", folder.settings.edge.port), timeout=10)
        with closing(blind.wrap_socket(raw)) as tls:
            assert tls.getpeercert(binary_form=True) != before


def test_a_failing_chore_does_not_end_the_edge(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise RuntimeError("secret")

    async def twice() -> None:
        task = asyncio.create_task(module._every(0.01, fail))
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()

    asyncio.run(twice())
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
