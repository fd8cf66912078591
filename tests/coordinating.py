"""A coordinator's folder, hospitals that join it, and a SuperLink that only remembers."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from common.certificates import NodeKey
from common.crypto import SigningKey, fresh_key
from common.enrolment import (
    ASK,
    JOIN,
    ROTATE,
    SCHEME,
    Application,
    Join,
    Proven,
    Question,
    Rotation,
    apply,
    prove,
)
from common.invitation import Invitation
from common.privacy.masking.statements import signed
from server.coordinator.fleet import KnownNode, SuperLinkDown, SuperLinkRefuses
from server.coordinator.folder import CoordinatorFolder, init_folder
from server.coordinator.invitations import invite
from server.coordinator.settings import EdgeLimits, EdgeSettings, SuperLinkSettings

HOUR, NOON = 3600, 1_700_000_000.0
NOW = time.time()


class RememberingFleet:
    """Flower's nodes as its SQLite state has them: a key is never let in twice."""

    def __init__(self) -> None:
        self.known: list[KnownNode] = []
        self.down, self.calls = False, 0

    def nodes(self) -> list[KnownNode]:
        self.calls += 1
        if self.down:
            raise SuperLinkDown("ConnectError")
        return list(self.known)

    def register(self, public: bytes, name: str) -> None:
        if any(node.public == public for node in self.known):
            raise SuperLinkRefuses("register-node: 409")
        self.known.append(KnownNode(len(self.known) + 1, public, "registered"))

    def unregister(self, number: int) -> None:
        self.known = [
            node._replace(status="unregistered") if node.number == number else node
            for node in self.known
        ]

    @property
    def welcome(self) -> set[bytes]:
        """The keys that are let in."""
        return {node.public for node in self.known if node.status != "unregistered"}


class Ward(NamedTuple):
    """A hospital that makes its texts by hand."""

    name: str
    identity: SigningKey
    node: NodeKey

    def application(self, code: Invitation, **changes: str) -> str:
        """Return what a hospital posts to join; changes: of its Join, before it is signed."""
        made = apply(code, self.name, self.identity, self.node)
        wish = Join.read(made.join.statement).model_copy(update=changes)
        proven = prove(wish, self.identity, self.node, JOIN)
        return made.model_copy(update={"join": proven}).text

    def rotation(self, authority: str, new: NodeKey, *, old: str = "") -> str:
        asked = Rotation(
            authority=authority, site=self.name, old=old or self.node.public, new=new.public
        )
        return prove(asked, self.identity, new, ROTATE).text

    def question(self, authority: str, what: str, *, asked: float) -> dict[str, str]:
        """Return the header of a signed question."""
        text = signed(
            Question(authority=authority, site=self.name, what=what, asked=int(asked)),
            self.identity,
            ASK,
        ).text
        return {"authorization": f"{SCHEME} {base64.urlsafe_b64encode(text.encode()).decode()}"}


def ward(name: str = "Ash") -> Ward:
    return Ward(name, SigningKey(fresh_key()), NodeKey.new())


def make_folder(path: Path, *, port: int = 8443, name: str = "wards") -> CoordinatorFolder:
    return init_folder(path, name, ["localhost"], port=port, now=datetime.now(UTC))


def invited(
    folder: CoordinatorFolder, site: str = "Ash", *, now: float | None = None
) -> Invitation:
    return invite(folder, site, ttl_s=HOUR, now=time.time() if now is None else now)


def tampered(text: str, **changes: str) -> str:
    """Return an application whose proof was changed after it was signed."""
    application = Application.read(text)
    wish = Join.read(application.join.statement).model_copy(update=changes)
    join = Proven(**(application.join.model_dump() | {"statement": wish.text}))
    return Application(secret=application.secret, join=join).text


@contextmanager
def serving(server: uvicorn.Server) -> Iterator[None]:
    """Serve in a thread until the block ends."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        assert time.monotonic() < limit, "the server does not start"
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


def upstream(folder: CoordinatorFolder, app: Any) -> uvicorn.Server:
    """Return a server in the SuperLink's place, with the folder's certificate."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=folder.settings.superlink.port,
            ssl_certfile=folder.server_certificate,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_config=None,
        )
    )


def with_limits(folder: CoordinatorFolder, **limits: float) -> CoordinatorFolder:
    """Return the folder on free ports of loopback, with other limits of its edge."""
    port, superlink = free_ports(2)
    edge = EdgeSettings(port=port, bind="127.0.0.1", limits=EdgeLimits.model_validate(limits))
    settings = folder.settings.model_copy(
        update={"edge": edge, "superlink": SuperLinkSettings(port=superlink)}
    )
    return folder._replace(settings=settings)


def free_ports(count: int) -> list[int]:
    """Return ports that are free on loopback, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
