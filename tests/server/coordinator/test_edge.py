"""What the edge lets through: Flower's own route table is walked, and every trick is closed."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.enrolment import SMALL_BODY, Complaint, SignedStudyText
from common.study import Study, study_toml
from server.coordinator import enrolling
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.guard import App
from server.coordinator.service import Service
from server.study_commands import sign
from tests.coordinating import NOON, Ward, invited, make_folder, ward

TRICKS = (
    b"/v1/fleet/../control/list-nodes",
    b"/v1/fleet/%2e%2e/control/list-nodes",
    b"/v1/fleet/..%2fcontrol/list-nodes",
    b"/v1/fleet/..;/control/list-nodes",
    b"/v1/fleet/..%5ccontrol/list-nodes",
    b"/v1/fleet/..\\control\\list-nodes",
    b"/v1/fleet/%252e%252e/control/list-nodes",
    b"/v1/fleet/.%2e/control/list-nodes",
    b"//v1/control/list-nodes",
    b"/v1//control/list-nodes",
    b"/v1/./control/list-nodes",
    b"/V1/control/list-nodes",
    b"/v1/CONTROL/list-nodes",
    b"/v1%2fcontrol%2flist-nodes",
    b"%2fv1%2fcontrol%2flist-nodes",
    b"/%76%31/control/list-nodes",
    b"/v1/control/list-nodes",
    b"/v1/fleet/pull-messages/../../control/list-nodes",
    b"/v1/fleet/pull-messages%00",
    b"/v1/fleet/pull-messages;x=1",
    b"/v1/fleet/pull-messages/",
    b"/v1/fleet//pull-messages",
    b"/v1/fleet/%70ull-messages",
    b"/V1/FLEET/pull-messages",
    b"/v1/fleet/",
    b"/v1/fleet",
    b"/v1/fleetx/pull-messages",
    b"/enrol/../v1/control/list-nodes",
    b"/enrol/",
    b"/enrol//ca",
    b"/health/",
    b"/health/../v1/control/list-nodes",
    b"https://localhost/v1/control/list-nodes",
    b"https://localhost/v1/fleet/../control/list-nodes",
    b"http://127.0.0.1:8000/v1/control/list-nodes",
    b"*",
    b"",
    b"/",
)


class Recorder:
    """What stands in the SuperLink's place and notes what reaches it."""

    def __init__(self, status: int = 200) -> None:
        self.seen: list[bytes] = []
        self._status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["raw_path"])
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorFolder:
    return make_folder(tmp_path_factory.mktemp("edge") / "coordinator")


def ask(
    app: App,
    path: bytes,
    *,
    method: str = "POST",
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> int:
    """Return the status of a request whose path is exactly these bytes."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
        "client": ("192.0.2.1", 1),
        "http_version": "1.1",
    }

    async def once() -> None:
        await app(scope, receive, send)

    asyncio.run(once())
    return int(sent[0]["status"])


def flower_routes() -> Iterator[tuple[str, str]]:
    """Every method and path that a SuperLink answers, from its own application."""
    from fastapi.routing import iter_route_contexts
    from flwr.superlink.main import create_app

    for context in iter_route_contexts(create_app().routes):
        for method in getattr(context.route, "methods", None) or {"GET"}:
            yield method, str(context.path)


def test_of_all_routes_of_flower_only_those_of_the_fleet_are_open(
    folder: CoordinatorFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    recorder, routes = Recorder(), sorted(set(flower_routes()))
    families = {path.split("/")[2] for _, path in routes if path.startswith("/v1/")}
    assert {"fleet", "control", "runtime"} <= families
    assert len(routes) > 60
    for method, path in routes:
        filled = path.replace("{", "").replace("}", "").encode()
        edge = make_edge(folder, fleet=recorder, ours=_nothing)
        before = len(recorder.seen)
        status = ask(edge, filled, method=method)
        if path.startswith("/v1/fleet/"):
            assert (status, recorder.seen[-1]) == (200, filled), path
        else:
            assert status == 404, path
            assert len(recorder.seen) == before, path


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Stand in the place of our own pages: what reaches it is ours, and Flower never sees it."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("path", TRICKS)
def test_no_trick_with_the_path_reaches_flower(folder: CoordinatorFolder, path: bytes) -> None:
    recorder = Recorder()
    assert ask(make_edge(folder, fleet=recorder), path) == 404
    assert recorder.seen == []


def test_a_query_is_no_way_in(folder: CoordinatorFolder) -> None:
    recorder = Recorder()
    edge = make_edge(folder, fleet=recorder)
    assert ask(edge, b"/v1/fleet/pull-messages", query=b"/v1/control/list-nodes") == 404
    assert recorder.seen == []


@given(st.binary(max_size=60) | st.text("/.%2eEfF5cvV1;letcontrl-\\", max_size=40).map(str.encode))
def test_nothing_but_plain_names_below_fleet_reaches_flower(tail: bytes) -> None:
    from server.coordinator.edge import is_fleet

    scope = {"raw_path": b"/v1/fleet/" + tail, "query_string": b""}
    plain = tail.replace(b"-", b"a")
    if is_fleet(scope):
        assert plain.isalnum()
        assert plain == plain.lower()


def client(folder: CoordinatorFolder, *, status: int = 200, **limits: float) -> httpx.AsyncClient:
    changed = folder
    if limits:
        edge = folder.settings.edge
        edge = edge.model_copy(update={"limits": edge.limits.model_copy(update=limits)})
        changed = folder._replace(settings=folder.settings.model_copy(update={"edge": edge}))
    service = Service(changed, registrar=lambda _: True, clock=lambda: NOON)
    app = make_edge(changed, fleet=Recorder(status), ours=service.app())
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="https://localhost")


def call(folder: CoordinatorFolder, method: str, path: str, **more: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        async with client(folder) as http:
            return await http.request(method, path, **more)

    return asyncio.run(once())


def test_health_tells_versions_and_no_more(folder: CoordinatorFolder) -> None:
    reply = call(folder, "GET", "/health")
    assert reply.json() == {name: version(name) for name in ("flwr", "wardround")}


def test_the_authority_is_told_to_everybody_and_its_key_to_nobody(
    folder: CoordinatorFolder,
) -> None:
    assert call(folder, "GET", "/enrol/ca").content == folder.ca.read_bytes()
    for path in ("/enrol/ca.key", "/ca.key", "/coordinator.toml", "/enrol/../ca.key"):
        assert call(folder, "GET", path).status_code == 404


def joined(folder: CoordinatorFolder, name: str) -> Ward:
    site = ward(name)
    text = site.application(invited(folder, name, now=NOON))
    assert call(folder, "POST", "/enrol", content=text).status_code == 200
    return site


def test_a_member_gets_the_study_and_its_seal(
    folder: CoordinatorFolder, ward_study: Study, tmp_path: Path
) -> None:
    ash = joined(folder, "Ash")
    header = ash.question(folder.authority, "/enrol/study", asked=NOON)
    assert _code(call(folder, "GET", "/enrol/study", headers=header)) == "no-study"
    path = tmp_path / "study.toml"
    path.write_text(study_toml(ward_study))
    sign(path, folder=folder.path)
    reply = call(folder, "GET", "/enrol/study", headers=header)
    assert SignedStudyText.read(reply.text).study == study_toml(ward_study)
    folder.study.write_text(study_toml(ward_study).replace("wards", "other"))
    assert _code(call(folder, "GET", "/enrol/study", headers=header)) == "no-study"


def test_outsiders_get_neither_study_nor_roster(folder: CoordinatorFolder) -> None:
    for path in ("/enrol/study", "/enrol/roster"):
        assert _code(call(folder, "GET", path)) == "no-question"
        header = ward("Nobody").question(folder.authority, path, asked=NOON)
        assert _code(call(folder, "GET", path, headers=header)) == "no-member"


def test_a_refusal_is_noted_without_what_was_sent(
    folder: CoordinatorFolder, caplog: pytest.LogCaptureFixture
) -> None:
    code = invited(folder, "Cedar", now=NOON)._replace(secret=b"\x07" * 20)
    reply = call(folder, "POST", "/enrol", content=ward("Cedar").application(code))
    assert _code(reply) == "unknown-invitation"
    assert "unknown-invitation" in caplog.text
    assert code.secret.hex() not in caplog.text
    ask(make_edge(folder), b"/v1/control/\x1b[2J\nforged line \xff")
    assert all(record.getMessage().isprintable() for record in caplog.records)


def _code(reply: httpx.Response) -> str:
    assert reply.status_code == 403
    return Complaint.read(reply.text).code


@pytest.mark.parametrize("path", ["/enrol", "/enrol/rotate", "/enrol/roster"])
@given(body=st.binary(max_size=200))
def test_whatever_is_posted_is_answered_with_a_complaint(
    folder: CoordinatorFolder, path: str, body: bytes
) -> None:
    assert _code(call(folder, "POST", path, content=body))


@given(header=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_whatever_stands_in_the_header_is_answered_with_a_complaint(
    folder: CoordinatorFolder, header: str
) -> None:
    reply = call(folder, "GET", "/enrol/study", headers={"authorization": f"Wardround {header}"})
    assert _code(reply)


def test_a_body_that_is_too_long_is_refused_declared_or_not(folder: CoordinatorFolder) -> None:
    assert call(folder, "POST", "/enrol", content=bytes(SMALL_BODY)).status_code == 403
    assert call(folder, "POST", "/enrol", content=bytes(SMALL_BODY + 1)).status_code == 413

    async def parts() -> Any:
        for _ in range(SMALL_BODY // 1000 + 1):
            yield bytes(1000)

    assert call(folder, "POST", "/enrol", content=parts()).status_code == 413


def test_a_request_that_can_be_read_in_two_ways_is_refused(folder: CoordinatorFolder) -> None:
    recorder = Recorder()
    edge = make_edge(folder, fleet=recorder)
    both = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    twice = [(b"content-length", b"5"), (b"content-length", b"6")]
    for headers in (both, twice, [(b"content-length", b"-1")], [(b"content-length", b"9" * 30)]):
        assert ask(edge, b"/v1/fleet/get-run", headers=headers) == 400
    assert recorder.seen == []


def test_who_asks_too_often_is_told_to_wait(folder: CoordinatorFolder) -> None:
    limits = {"enrol_rate": 0.001, "enrol_burst": 3, "rate": 0.001, "burst": 2}

    async def often() -> tuple[list[int], list[int]]:
        async with client(folder, status=401, **limits) as http:
            ours = [(await http.get("/enrol/ca")).status_code for _ in range(5)]
            fleet = [(await http.post("/v1/fleet/get-run")).status_code for _ in range(4)]
        return ours, fleet

    ours, fleet = asyncio.run(often())
    assert ours == [200, 200, 200, 429, 429]
    assert fleet == [401, 401, 503, 503]  # Flower's client waits after a 503, and ends after a 429


def test_a_node_that_flower_knows_may_ask_eight_times_as_often(folder: CoordinatorFolder) -> None:
    async def often() -> list[int]:
        async with client(folder, rate=0.001, burst=2) as http:
            return [(await http.post("/v1/fleet/get-run")).status_code for _ in range(12)]

    # 2 requests at once; each counts for 1/8, and the last needs a whole one: 2 - 9/8 < 1.
    assert asyncio.run(often()) == [200] * 9 + [503] * 3


def test_the_answer_of_a_join_is_one_receipt(folder: CoordinatorFolder) -> None:
    text = ward("Elm").application(invited(folder, "Elm", now=NOON))
    reply = call(folder, "POST", "/enrol", content=text)
    assert set(json.loads(reply.text)) == {"statement", "signature"}
    assert enrolling.join(folder, text, now=NOON).site == "Elm"
