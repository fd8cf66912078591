"""The repository's pages as tests read them, and the commands of the program that they explain."""

import re
from collections.abc import Iterator
from fnmatch import filter as matching
from functools import cache
from itertools import pairwise
from pathlib import Path
from posixpath import normpath
from typing import Any

import typer.main
from markdown_it import MarkdownIt
from markdown_it.token import Token

from common.cli import FAMILIES, make_app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TEXT_PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(DOCS / "decisions").glob("*.md")]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in TEXT_PAGES)


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """Return the page's tokens, those within lines too."""
    flat: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text("utf-8")):
        flat += [token, *(token.children or [])]
    return tuple(flat)


def blocks(page: str, *languages: str) -> list[str]:
    """Return the page's fenced blocks of these languages."""
    fences = [t for t in tokens(page) if t.type == "fence"]
    return [t.content for t in fences if t.info.split(" ")[0] in languages]


def lines_of_code(page: str) -> Iterator[str]:
    """Yield every line of every block of code; a line that ends in a backslash with its next."""
    for token in tokens(page):
        if token.type in ("fence", "code_block"):
            yield from re.sub(r"\\\n\s*", " ", token.content).splitlines()


def code_in_text(page: str) -> list[str]:
    """Return what stands between backticks within lines."""
    return [token.content for token in tokens(page) if token.type == "code_inline"]


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield target page and anchor of every link that stays in the repository."""
    for token in tokens(page):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if target and not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: str) -> set[str]:
    """Return the anchors of the page's headings, made as GitHub and MyST make them."""
    found: set[str] = set()
    for opening, text in pairwise(tokens(page)):
        if opening.type == "heading_open":
            kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", text.content).strip().lower())
            found.add(kept.replace(" ", "-"))
    return found


def in_navigation() -> set[str]:
    """Return the pages that stand in the navigation: in a list of pages, a `toctree`."""
    found: set[str] = set()
    for page in PAGES:
        entries = "".join(blocks(page, "{toctree}")).splitlines()
        for entry in entries:
            name = entry.split("<")[-1].rstrip(">").strip()
            path = normpath(f"{(ROOT / page).parent.relative_to(ROOT).as_posix()}/{name}.md")
            found |= set() if name[:1] in ("", ":") else set(matching(PAGES, path))
    return found


@cache
def program() -> Any:
    """Return the command line as click sees it."""
    return typer.main.get_command(make_app())


@cache
def commands() -> dict[str, Any]:
    """Return every command by its name, such as `node join`."""
    found = dict(program().commands)
    for family in FAMILIES:
        inner = found.pop(family).commands
        found |= {f"{family} {name}": command for name, command in inner.items()}
    return found
