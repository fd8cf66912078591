"""A request's head has one deadline, whatever comes meanwhile; here nobody waits for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest
from uvicorn.server import ServerState

from server.coordinator.serving import BoundedProtocol, EdgeServer, bounded_protocol
from tests.coordinating import make_folder, with_limits
from tests.server.coordinator.served import HEADS


class Timers:
    """In a loop's place: keeps what is to be called later, and calls it when told."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Mock]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Mock:
        timer = Mock(call=call)
        timer.cancel.side_effect = lambda: self.set.remove((seconds, timer))
        self.set.append((seconds, timer))
        return timer


@pytest.fixture
def slow(tmp_path: Path) -> BoundedProtocol:
    """The edge's protocol with a connection that is made, and timers in the place of time."""
    folder = with_limits(make_folder(tmp_path / "coordinator"), head_s=7.0)
    config = EdgeServer(folder).config
    made = bounded_protocol(folder.settings.edge.limits)
    protocol = made(config, ServerState(), {}, cast(asyncio.AbstractEventLoop, Timers()))
    transport = Mock()
    transport.is_closing.return_value = False
    transport.get_extra_info.return_value = None
    protocol.connection_made(transport)
    return protocol


@pytest.mark.parametrize("sent", HEADS)
def test_a_head_has_one_deadline_that_no_byte_moves(slow: BoundedProtocol, sent: bytes) -> None:
    timers = cast(Timers, slow.loop)
    ((seconds, timer),) = timers.set
    assert seconds == 7.0
    for part in filter(None, (sent, b"x", b"x")):
        slow.data_received(part)
        assert timers.set == [(seconds, timer)]
    slow.transport.abort.assert_not_called()  # type: ignore[attr-defined]
    timer.call()
    slow.transport.abort.assert_called_once()  # type: ignore[attr-defined]
