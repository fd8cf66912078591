"""The site of these pages and of the docstrings, by Sphinx (`make docs`). It needs no network."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import fastapi  # noqa: F401 (before autodoc completes the annotations of pydantic's classes)
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "Wardround"
version = release = version_of("wardround")
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "runs", "dist"]
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = [
    "ref.python",  # a type in a signature that two modules offer: the first is linked
]

html_theme = "furo"
html_title = "Wardround"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"

default_role = "code"  # docstrings write `name` for code
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "Tensor"}  # torch has pages of its own
autodoc_mock_imports = ["higher", "jax", "pfl", "playwright", "ray"]
apidoc_modules = [
    {
        "path": str(ROOT),
        "destination": "docs/reference",
        "exclude_patterns": [str(ROOT / name) for name in (".venv", "docker", "docs", "tests")],
        "module_first": True,
        "automodule_options": {"members", "undoc-members", "show-inheritance"},
    }
]


def docstring(
    app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]
) -> None:
    """Let plain text stay plain: indented tables are literal, and `*`, `|` and `_` mean nothing."""
    marks, literal, section = re.compile(r"([*|\\]|_(?=\W|$))"), False, False
    done: list[str] = [""]  # else napoleon takes "name: meaning" for a type
    for before, line in zip(["", *lines], lines, strict=False):
        if line.strip() and not line.startswith("    "):
            literal, section = False, bool(re.fullmatch(r"(Args|Raises|Returns|Yields):", line))
        elif line.strip() and not section and not literal and not before.strip():
            literal = True
            done += ["::", ""]
        quoted = re.split(r"(`[^`]*`)", line)
        plain = [part if part[:1] == "`" else marks.sub(r"\\\1", part) for part in quoted]
        done.append(line if literal else "".join(plain))
    lines[:] = done


def visit_math(self: Any, node: nodes.Element) -> None:
    """Write an equation as MathML, which browsers show without any script."""
    block = isinstance(node, nodes.math_block)
    self.body.append(tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def forward(app: Any, error: Exception | None) -> None:
    """Send whoever opens the site's folder to its first page."""
    if error is None and app.builder.format == "html":
        to = app.builder.get_relative_uri("index", root_doc)
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={to}">'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Any) -> None:
    """Register the three functions above."""
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("build-finished", forward)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
