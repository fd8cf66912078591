"""Who may ask, and what every answer carries."""

import pytest

from server.control import read_wish
from server.page.app import make_page
from server.page.guard import MOST_BODY, is_token, token_digest
from tests.page_run import RunFolder
from tests.server.page.conftest import BEARER, Visitor


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/static/page.css", "/nowhere"])
def test_every_answer_forbids_what_the_page_does_not_need(path: str, visitor: Visitor) -> None:
    headers = visitor.ask("GET", path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "192.168.3.4"])
def test_the_page_answers_to_this_machines_names(host: str, visitor: Visitor) -> None:
    visitor.base = f"http://{host}:8300"
    assert visitor.ask("GET", "/health").status_code == 200


def test_a_foreign_name_that_points_here_is_refused(run: RunFolder, visitor: Visitor) -> None:
    visitor.base = "http://evil.example:8300"
    for path in ("/", "/events", "/metrics"):
        assert visitor.ask("GET", path).status_code == 421
    own = Visitor(make_page(run.folder, token_hash=None, names=["Page.Example"]))
    own.base = "http://page.example:8300"
    assert own.ask("GET", "/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_has_no_wish_even_with_the_token(
    headers: dict[str, str], run: RunFolder, visitor: Visitor
) -> None:
    run.status("running", 3)
    assert visitor.wish("stop", **BEARER, **headers).status_code == 403
    assert read_wish(run.folder) == "run"


def test_the_pages_own_wish_is_taken(run: RunFolder, visitor: Visitor) -> None:
    run.status("running", 3)
    own = {"Origin": "http://localhost:8300", "Sec-Fetch-Site": "same-origin"}
    assert visitor.wish("pause", **BEARER, **own).status_code == 200


def test_a_form_of_another_site_cannot_be_taken_for_a_wish(
    run: RunFolder, visitor: Visitor
) -> None:
    run.status("running", 3)
    answer = visitor.ask("POST", "/wish", data={"wish": "stop"}, headers=BEARER)
    assert answer.status_code == 422
    assert read_wish(run.folder) == "run"


def test_a_long_wish_is_not_read(visitor: Visitor) -> None:
    assert visitor.wish("x" * MOST_BODY, **BEARER).status_code == 413
    for length in ("9" * 5000, "-1", ""):  # Python makes no number of the first
        headers = {**BEARER, "Content-Length": length}
        answer = visitor.ask("POST", "/wish", content=b"{}", headers=headers)
        assert answer.status_code == 413

    async def unsaid() -> object:
        yield b"{}"

    assert visitor.ask("POST", "/wish", content=unsaid(), headers=BEARER).status_code == 413


def test_a_token_is_known_by_its_hash_alone() -> None:
    digest = token_digest("secret")
    assert is_token("Bearer secret", digest)
    assert is_token("bearer secret", digest)
    assert not is_token("Bearer Secret", digest)
    assert not is_token(f"Bearer {digest}", digest)
    assert not is_token("", digest)
