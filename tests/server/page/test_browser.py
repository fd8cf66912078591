"""The page in a real Chromium, as a coordinator uses it: `make test-browser`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.control import read_wish
from server.page.app import make_page
from tests.page_run import HOSTILE, RunFolder, make_run, sites
from tests.page_server import served
from tests.server.page.conftest import TOKEN, Open

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
FRAME_MS = """async () => {
  const chart = document.getElementById("chart-used"), started = performance.now();
  for (let i = 0; i < 20; i++) {
    chart.dispatchEvent(new PointerEvent("pointermove", { clientX: 200 + i, clientY: 400 }));
    await new Promise(requestAnimationFrame);
  }
  return (performance.now() - started) / 20;
}"""


def test_rounds_appear_as_they_close(url: str, run: RunFolder, open_page: Open) -> None:
    run.rounds(1, 3)
    run.status("running", 3)
    page = open_page(url)
    page.get_by_text("Round 3 of 90").wait_for()
    page.evaluate(
        "() => { window.spoken = 0; new MutationObserver(() => window.spoken++)"
        ".observe(document.getElementById('said'), {childList: true, subtree: true}); }"
    )
    run.rounds(4, 5)
    run.status("running", 5)
    page.get_by_text("Round 5 of 90").wait_for(timeout=5000)
    page.locator("#rounds tbody th", has_text="5").first.wait_for()
    page.locator("#read-used", has_text="Round 5: 4 of 4 sites").wait_for()
    assert page.title().startswith("5/90 Running")
    assert page.evaluate("window.spoken") == 0  # a screen reader is told of phases, not of rounds
    run.status("paused", 5, "a person asked for it")
    page.get_by_role("status").filter(has_text="Paused").wait_for()
    assert page.evaluate("window.spoken") > 0


def test_a_hostile_name_is_shown_and_does_nothing(tmp_path: Path, open_page: Open) -> None:
    run = make_run(tmp_path / "hostile", sites=sites(Ash={"name": HOSTILE}), name=HOSTILE)
    run.rounds(1, 1)
    with served(make_page(run.folder, token_hash=None)) as url:
        page = open_page(url)
        run.rounds(2, 2, accepted=["Birch"], dropped={HOSTILE: f"error-2 {HOSTILE}"})
        page.locator("#rounds code", has_text=HOSTILE).wait_for()
        assert page.locator("#sites th", has_text=HOSTILE).count() == 1
        assert page.locator("script").count() == 1
        page.close()


def test_pause_and_resume_with_the_token(url: str, run: RunFolder, open_page: Open) -> None:
    run.status("running", 3)
    page = open_page(url)
    page.get_by_label("Coordinator's token").fill(TOKEN)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("The run is to pause after its present round.").wait_for()
    assert read_wish(run.folder) == "pause"
    page.get_by_text("It is to pause: the present round ends first.").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("The run is to go on.").wait_for()
    assert read_wish(run.folder) == "run"


def test_stop_asks_first(url: str, run: RunFolder, open_page: Open) -> None:
    run.status("running", 3)
    page = open_page(url)
    page.get_by_label("Coordinator's token").fill(TOKEN)
    page.get_by_role("button", name="Stop…").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("button", name="Let it run").click()
    assert read_wish(run.folder) == "run"
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("button", name="Stop after this round").click()
    page.get_by_text("The run is to stop after its present round.").wait_for()
    assert read_wish(run.folder) == "stop"


def test_without_the_token_a_wish_is_refused(url: str, run: RunFolder, open_page: Open) -> None:
    run.status("running", 3)
    page = open_page(url)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Enter the coordinator's token first.").wait_for()
    page.get_by_label("Coordinator's token").fill("x" * 43)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Refused: that is not the coordinator's token.").wait_for()
    page.get_by_role("button", name="Resume").press("Enter")
    page.get_by_text("Resume makes no sense in this state.").wait_for()
    assert read_wish(run.folder) == "run"


def test_a_lost_connection_is_said_and_comes_back(run: RunFolder, chromium: "Browser") -> None:
    run.rounds(1, 3)
    with served(make_page(run.folder, token_hash=None)) as url:
        page = chromium.new_page()
        page.goto(url)
        page.locator(".link.live").wait_for()
    page.locator(".link.lost", has_text="this is an older state").wait_for()
    run.rounds(4, 4)
    port = int(url.rstrip("/").rpartition(":")[2])
    with served(make_page(run.folder, token_hash=None), port=port):
        page.get_by_text("Round 4 of 90").wait_for(timeout=15_000)
        page.locator(".link.live").wait_for()
        page.close()


def test_ten_thousand_rounds_stay_smooth(tmp_path: Path, open_page: Open) -> None:
    run = make_run(tmp_path / "long", server={"rounds": 20_000})
    run.rounds(1, 10_000)
    run.status("running", 10_000)
    with served(make_page(run.folder, token_hash=None)) as url:
        started = time.monotonic()
        page = open_page(url)
        page.locator("#read-used", has_text="to 10,000").wait_for()
        assert time.monotonic() - started < 5
        assert page.locator("svg *").count() < 100
        started = time.monotonic()
        run.rounds(10_001, 10_001)
        page.get_by_text("Round 10,001 of 20,000").wait_for()
        assert time.monotonic() - started < 3
        assert page.evaluate(FRAME_MS) < 50
        page.close()
