"""The page in a real Chromium, as people of all kinds and screens read it: `make test-browser`."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.page.app import make_page
from server.page.guard import token_digest
from tests.page_run import METRICS, RunFolder, make_run, sites
from tests.page_server import served
from tests.server.page.conftest import TOKEN, Open

pytestmark = pytest.mark.browser
CONTRASTS = """() => {
  const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const rgba = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const found = rgba(getComputedStyle(e).backgroundColor);
      if ((found[3] ?? 1) === 1) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest("dialog:not([open]), noscript")) continue;
    const svg = e instanceof SVGElement, style = getComputedStyle(e);
    const a = light(rgba(svg ? style.fill : style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
WIDE = """() => {
  const root = document.documentElement;
  const outside = [...document.querySelectorAll("body *")].filter((e) =>
    e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest(".hidden, thead, .skip"));
  return [root.scrollWidth - root.clientWidth, outside.map((e) => e.outerHTML.slice(0, 80))];
}"""
FOCUS = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const name = e.id || e.dataset.wish || e.getAttribute("href") || e.tagName;
  return [name, parseFloat(style.outlineWidth), style.outlineStyle];
}"""


def troubled(run: RunFolder) -> None:
    """Let a run have all that a page can show."""
    run.rounds(1, 5)
    run.rounds(6, 6, closed=False, accepted=["Ash"], dropped={"Birch": "deadline"}, seconds=60)
    dropped = {"Birch": "away", "Cedar": "error-2 PrivacyError", "Dale": "absent"}
    run.rounds(6, 6, attempt=2, closed=False, accepted=["Ash"], dropped=dropped)
    (run.folder / "metrics.json").write_text(json.dumps(METRICS))


def test_a_narrow_page_does_not_scroll_sideways(
    tmp_path: Path, run: RunFolder, open_page: Open
) -> None:
    long = make_run(
        tmp_path / "long", name="W" * 80, sites=sites(Ash={"name": "N" * 80}), purpose="P" * 200
    )
    long.rounds(1, 2, dropped={"Dale": "r" * 60})
    troubled(run)
    for one in (run, long):
        with served(make_page(one.folder, token_hash=token_digest(TOKEN))) as url:
            for width in (320, 375, 768):
                page = open_page(url, width=width)
                page.locator("#chart-used svg").wait_for()
                assert page.evaluate(WIDE) == [0, []]
                page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phase", ["running", "paused", "below quorum", "stopped", "finished"])
def test_all_text_can_be_read(
    scheme: str, phase: Any, url: str, run: RunFolder, open_page: Open
) -> None:
    troubled(run)
    run.status(phase, 5, "a reason")
    page = open_page(url, color_scheme=scheme, reduced_motion="reduce")
    page.locator("#chart-used svg").wait_for()
    assert page.evaluate(CONTRASTS) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 28)"
    assert dark == (scheme == "dark")


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(
    url: str, run: RunFolder, open_page: Open
) -> None:
    troubled(run)
    run.status("running", 5)
    page = open_page(url)
    found = []
    for _ in range(12):
        page.keyboard.press("Tab")
        name, width, style = page.evaluate(FOCUS)
        if name == "BODY":
            break
        assert style != "none", name
        assert width >= 2, name
        found.append(name)
    assert found == ["#main", "token", "pause", "run", "stop", "metrics", "health"]


def test_a_new_round_takes_the_focus_from_nobody(url: str, run: RunFolder, open_page: Open) -> None:
    run.status("running", 1)
    page = open_page(url)
    page.get_by_role("button", name="Pause").focus()
    run.rounds(1, 9)
    run.status("paused", 9)
    page.get_by_text("Round 9 of 90").wait_for()
    assert page.evaluate(FOCUS)[0] == "pause"


def test_a_reader_finds_landmarks_and_names(url: str, run: RunFolder, open_page: Open) -> None:
    troubled(run)
    page = open_page(url)
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    for name in ("State", "Sites", "Last rounds", "Learning", "Sites in each round"):
        assert page.get_by_role("region", name=name, exact=True).count() == 1
    chart = page.get_by_role("img", name="Sites in each round; the last, round 6: not closed")
    chart.wait_for()
    narrow = open_page(url, width=375)  # a table stays one where it is laid out as cards
    assert narrow.get_by_role("row").count() == page.get_by_role("row").count()
    assert narrow.get_by_role("rowheader", name="Cedar").count() == 1
