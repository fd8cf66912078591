"""What every page that Wardround writes has in common: its elements and its style sheet.

A page is one HTML file without scripts or outside resources, to read and to print.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

DASH, MINUS, SPACE = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


class Html(str):
    """Text that is HTML already. All other text is escaped on its way into an element."""


def element(tag: str, *content: object, css: str = "") -> Html:
    """Return `<tag>` around the content."""
    inside = "".join(c if isinstance(c, Html) else escape(str(c)) for c in content)
    return Html(f'<{tag} class="{css}">{inside}</{tag}>' if css else f"<{tag}>{inside}</{tag}>")


def joined(parts: Iterable[object]) -> Html:
    """Return the parts one after another, escaped where they are not HTML."""
    return Html("\n".join(p if isinstance(p, Html) else escape(str(p)) for p in parts))


def figure(svg: str, caption: str) -> Html:
    """Return an SVG picture with its caption."""
    return element("figure", Html(svg), element("figcaption", caption))


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], *, title: object = "", css: str = ""
) -> Html:
    """Return a table; the first cell of each row is its heading."""
    caption = [element("caption", title)] if title else []
    names = element("tr", *(element("th", name) for name in head))
    body = (
        element("tr", element("th", first), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    )
    return element("table", *caption, element("thead", names), element("tbody", *body), css=css)


def definitions(terms: Mapping[str, object]) -> Html:
    """Return a list of terms and what they mean."""
    return element(
        "dl", *(element(*pair) for t, d in terms.items() for pair in (("dt", t), ("dd", d)))
    )


def count(n: int, noun: str) -> str:
    """Return "1 task" or "2 tasks"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(items: Iterable[object], last: str = "and") -> str:
    """Return "0, 5 and 10"."""
    *first, end = map(str, items)
    return f"{', '.join(first)} {last} {end}" if first else end


def number(value: float, *, signed: bool = False) -> str:
    """Return three decimals; a signed number has its sign, 0 too, and never -0."""
    rounded = round(value, 3) + 0.0
    return f"{rounded:+.3f}".replace("-", MINUS) if signed else f"{rounded:.3f}"


def page(title: str, body: Html, *, css: str = "") -> str:
    """Return the whole file; css: a page's own rules, after the common ones."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{STYLE}{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #55616d; --line: #cfd6dd; --deep: #003f72; }
* { box-sizing: border-box; }
body { margin: 0; overflow-wrap: break-word; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; color: var(--deep); }
h2 { font-size: 20px; margin: 40px 0 8px; padding-top: 10px; border-top: 2px solid var(--deep); }
h3 { font-size: 16px; margin: 24px 0 6px; }
h4 { font-size: 14px; margin: 0 0 2px; }
p, ul { margin: 6px 0 10px; }
ul { padding-left: 22px; }
.purpose, .note, figcaption, caption { color: var(--soft); }
.purpose { margin: 0 0 14px; font-style: italic; }
.lead { font-size: 17px; }
.note, figcaption, caption { font-size: 13px; line-height: 1.4; }
figure { margin: 14px 0; }
figure svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; margin: 10px 0 16px; font-size: 13.5px;
  font-variant-numeric: tabular-nums; line-height: 1.3; }
caption { text-align: left; padding: 0 0 4px; }
th, td { padding: 4px 8px; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
tbody th { font-weight: normal; overflow-wrap: anywhere; }
td small.side { color: var(--ink); font-weight: 600; }
td small { display: block; color: var(--soft); font-size: 11px; white-space: nowrap; }
.words td { text-align: left; overflow-wrap: anywhere; }
.words td:nth-child(2) { white-space: nowrap; }
.words th { text-align: left; } .words tbody th { min-width: 8em; }
.test { background: #e6eff7; padding: 0 4px; border-radius: 3px; color: var(--deep);
  font-weight: 600; }
.inline td small { display: inline; margin-left: 8px; font-size: 12px; }
.reading { white-space: nowrap; }
.box { background: #f4f6f8; border: 1px solid var(--line); border-left: 5px solid var(--deep);
  padding: 4px 18px 10px; margin: 32px 0; border-radius: 3px; font-size: 14px; }
.box h2 { border: 0; padding: 0; margin: 12px 0 4px; }
.box h3 { margin: 14px 0 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 6px 0 10px;
  font-size: 14px; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
.task { border: 1px solid var(--line); border-radius: 3px; padding: 10px 12px 2px; margin: 12px 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 22px; }
.pair > * { min-width: 0; }
.pair table { font-size: 12.5px; margin-top: 2px; }
.pair th, .pair td { padding: 3px 3px; }
.pair td small.side { color: var(--ink); font-weight: 600; }
td small { font-size: 10px; letter-spacing: -0.02em; }
pre { background: #f4f6f8; border: 1px solid var(--line); padding: 10px 12px; border-radius: 3px;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } dl { display: block; } }
@media print {
  @page { size: A4; margin: 14mm 13mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  table { font-size: 8.5pt; } .pair table { font-size: 7.5pt; }
  th, td { padding: 2px 4px; } .pair th, .pair td { padding: 2px; }
  td small.side { color: var(--ink); font-weight: 600; }
td small { font-size: 7pt; } .pair td small.side { color: var(--ink); font-weight: 600; }
td small { font-size: 6pt; }
  .lead { font-size: 11pt; } .note, figcaption, caption { font-size: 8.5pt; }
  .box, dl { font-size: 9pt; }
  .pair { grid-template-columns: 1fr 1fr; gap: 0 14px; }
  dl { display: grid; }
  h2, h3, h4, h2 + p, caption, thead { break-after: avoid; page-break-after: avoid; }
  figure, tr, dd, li, .task, table:not(.words) { break-inside: avoid; page-break-inside: avoid; }
  thead { display: table-header-group; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
