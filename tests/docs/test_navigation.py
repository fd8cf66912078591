"""No page is lost: each is in the navigation, and every link, path and anchor leads somewhere."""

import re

import pytest

from tests.documents import DOCS, PAGES, ROOT, anchors, in_navigation, links


def test_every_page_stands_in_the_navigation() -> None:
    assert set(PAGES) - in_navigation() == {"docs/index.md"}


def test_there_is_a_page_for_each_person() -> None:
    pages = {"researcher", "coordinator", "hospital", "clinical-researcher"}
    assert {f"docs/{name}.md" for name in pages} <= in_navigation()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    for target, anchor in links(page):
        path = (ROOT / page).parent.joinpath(target) if target else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor:
            there = path.resolve().relative_to(ROOT).as_posix()
            assert anchor in anchors(there), f"{page} links to {there}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = r"\b((?:docs|tests|common|client|server|simulation)/[\w/.-]+\.(?:md|py|sh|svg|png))\b"
    for target in re.findall(named, (ROOT / page).read_text()):
        assert (ROOT / target).exists(), f"{page} names {target}"


def test_decisions_are_short() -> None:
    for path in (DOCS / "decisions").glob("*.md"):
        assert len(path.read_text().splitlines()) <= 40, path.name
