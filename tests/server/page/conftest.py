"""The page of a run folder, asked over ASGI as a browser on this machine would."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.page.app import make_page
from server.page.guard import token_digest
from tests.page_run import RunFolder, make_run

TOKEN = "a-token-of-at-least-thirty-two-characters"
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
