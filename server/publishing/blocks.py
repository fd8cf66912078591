"""A card as parts that are written twice, as Markdown and as HTML, so that both say the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from common.pages import Html, definitions, element, joined, page, table

DARK = """
.words thead th, .words td { text-align: left; } .words td:nth-child(2) { white-space: normal; }
.alarm { border-left-color: #b3261e; } .alarm p { font-weight: 600; }
.wide { overflow-x: auto; } .wide tbody th, .wide .words td { overflow-wrap: break-word; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e3e8ed; --soft: #a3afba; --line: #3a4652; --deep: #8cc4f5; }
  body { background: #11171d; }
  .box { background: #1a222b; }
  .alarm { border-left-color: #ff8a80; }
}
"""


@dataclass(frozen=True)
class Para:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Alarm:
    """A paragraph that nobody may overlook."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Terms:
    """Terms and what they mean."""

    terms: Mapping[str, str]


@dataclass(frozen=True)
class Grid:
    """A table; words: its cells are words rather than numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


Block = Para | Alarm | Bullets | Terms | Grid


class Section(NamedTuple):
    """A heading, "" under the title, and what stands below it."""

    title: str
    blocks: Sequence[Block]


def as_page(title: str, sections: Sequence[Section]) -> str:
    """Return one self-contained HTML file, for light and dark screens and for paper."""
    parts = [element("h1", title)]
    for section in sections:
        parts += [element("h2", section.title)] if section.title else []
        parts += [_html(block) for block in section.blocks]
    return page(title, joined(parts), css=DARK)


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """Return the same as Markdown."""
    lines = [f"# {_plain(title)}", ""]
    for section in sections:
        lines += [f"## {_plain(section.title)}", ""] if section.title else []
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines)


def _html(block: Block) -> Html:
    match block:
        case Para(text):
            return element("p", text)
        case Alarm(text):
            return element("section", element("p", text), css="box alarm")
        case Bullets(items):
            return element("ul", *(element("li", item) for item in items))
        case Terms(terms):
            return definitions(terms)
        case Grid(head, rows, words):
            made = table(head, rows, css="words" if words else "")
            return element("div", made, css="wide")


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Para(text):
            yield _plain(text)
        case Alarm(text):
            yield f"> **{_plain(text)}**"
        case Bullets(items):
            yield from (f"- {_plain(item)}" for item in items)
        case Terms(terms):
            yield from (f"- **{_plain(term)}**: {_plain(text)}" for term, text in terms.items())
        case Grid(head, rows):
            yield _row(head)
            yield "|" + "---|" * len(head)
            yield from (_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line: names come from a study."""
    line = escape(" ".join(text.split()), quote=False)
    return "".join("\\" + c if c in "\\`*_[]#" else c for c in line)
