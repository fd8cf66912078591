"""The page of a run folder: asked over ASGI, or shown in a real Chromium."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from server.page.app import make_page
from server.page.guard import token_digest
from tests.page_run import RunFolder, make_run
from tests.page_server import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOKEN = "a-token-of-at-least-thirty-two-characters"
CHROMIUM, HEIGHT = Path("/usr/bin/chromium"), 900
Open = Callable[..., "Page"]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Visitor:
    """Asks the page without a network."""

    app: FastAPI
    base: str = "http://localhost:8300"

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the answer to one request."""

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())

    def wish(self, wish: str, **headers: str) -> httpx.Response:
        """Return the answer to a wish."""
        return self.ask("POST", "/wish", json={"wish": wish}, headers=headers)

    def page(self) -> str:
        """Return the text of the page."""
        return self.ask("GET", "/").text


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


@pytest.fixture
def visitor(run: RunFolder) -> Visitor:
    return Visitor(make_page(run.folder, token_hash=token_digest(TOKEN)))


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    library = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with library.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def url(run: RunFolder) -> Iterator[str]:
    with served(make_page(run.folder, token_hash=token_digest(TOKEN))) as url:
        yield url


@pytest.fixture
def open_page(chromium: "Browser") -> Iterator[Open]:
    """Open pages, and fail if one has complained or asked another host."""
    complaints: list[str] = []
    requests: list[tuple[str, str]] = []
    contexts = []

    def opened(url: str, *, width: int = 1180, **options: Any) -> "Page":
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": HEIGHT}, **options)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append((url, request.url)))
        page.goto(url)
        page.locator(".link.live").wait_for()
        return page

    yield opened
    assert all(asked.startswith(url) for url, asked in requests)
    assert requests
    for context in contexts:
        assert context.cookies() == []
        context.close()
    assert [text for text in complaints if "401" not in text] == []
