"""Pages of results as a reader sees them, and what holds for each of them."""

import html
import re


def words(page: str) -> str:
    """Return the text that a reader sees, pictures left out."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def assert_stands_alone(page: str) -> None:
    """Assert that the page loads nothing, runs nothing and refers to itself alone."""
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b|@import|\bon\w+=", page)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s<)]*", page)) <= namespaces
    ids = re.findall(r"\bid=\"([^\"]*)\"", page)
    assert len(ids) == len(set(ids))
    for target in re.findall(r"href=\"([^\"]*)|url\(([^)]*)", page):
        assert "".join(target).startswith("#")
        assert "".join(target)[1:] in ids
