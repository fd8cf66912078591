"""Every command and option is documented, and every command line in a page can be typed."""

import re
import runpy
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest

from tests.documents import DOCS, PAGES, ROOT, code_in_text, commands, lines_of_code, program
from tests.importing import modules_after

BY_HAND = [page for page in PAGES if page not in ("docs/commands.md", "CHANGELOG.md")]
LINE = re.compile(r"(?:\$ )?(?:\.venv/bin/)?(?:[A-Z_]+=\S+ )*(wardround .*)")
MODULE = re.compile(r"\bpython -m ((?:simulation|server|client|common)[\w.]*)(.*)")
PLACEHOLDER = re.compile(r"[A-Z][A-Z,.]*|\.\.\.")


def typed(text: str) -> list[str] | None:
    """Return the words after `wardround` if the text is a line to type; brackets mean "or not"."""
    match = LINE.fullmatch(text.strip().removesuffix("&").strip())
    return shlex.split(re.sub(r"[\[\]]", " ", match[1]), comments=True)[1:] if match else None


def check(words: list[str], *, whole: bool) -> None:
    """Raise click's own error if the words are no command of the program.

    whole: a line to type as it stands, so nothing that is required may be missing in it.
    """
    command, context = program(), click.Context(program(), info_name="wardround")
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        if PLACEHOLDER.fullmatch(words[0]):
            return
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, info_name=name, parent=context)
    parser, cut = command.make_parser(context), words[-1:] == ["..."]
    words = words[:-1] if cut else words
    try:
        given, rest, order = parser.parse_args(list(words))
    except click.BadOptionUsage:  # text may name an option without its value
        if whole:
            raise
        given, rest, order = parser.parse_args([*words, "VALUE"])
    assert not rest, f"{rest} is too much"
    for parameter in set(order) if whole else ():
        values = given[parameter.name]
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and not PLACEHOLDER.fullmatch(value):
                look_at(parameter, value, context)
    if whole and not cut:
        asked = {p.name for p in command.params if p.required}
        assert asked <= {name for name, value in given.items() if value is not None}


def look_at(parameter: Any, value: str, context: click.Context) -> None:
    """Raise if the value is none that the parameter takes; files need not be there."""
    if not isinstance(parameter.type, click.Path):
        parameter.type.convert(value, parameter, context)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_in_a_page_can_be_typed(page: str) -> None:
    for texts, whole in ((lines_of_code(page), True), (code_in_text(page), False)):
        for text in texts:
            words = typed(text)
            if words is None:
                continue
            try:
                check(words, whole=whole)
            except (click.ClickException, AssertionError) as error:
                pytest.fail(f"{page}: {text.strip()}: {getattr(error, 'message', error)}")


@pytest.mark.parametrize(
    "line",
    [
        "wardround simulte",
        "wardround simulate --sights 3",
        "wardround simulate --sites three",
        "wardround node audit ash",
        "wardround node join --folder ash",
    ],
)
def test_a_line_that_cannot_be_typed_is_noticed(line: str) -> None:
    words = typed(line)
    assert words is not None
    with pytest.raises((click.ClickException, AssertionError)):
        check(words, whole=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_runs_has_its_options(page: str) -> None:
    for text in [*lines_of_code(page), *code_in_text(page)]:
        for module, rest in MODULE.findall(text):
            spec = find_spec(module)
            assert spec is not None, f"{page} runs {module}"
            source = Path(str(spec.origin))
            near = [source] if source.name != "__init__.py" else source.parent.glob("*.py")
            program_text = "".join(path.read_text() for path in near)
            for option in re.findall(r"--[a-z-]+", rest):
                assert option in program_text, f"{page}: {module} has no {option}"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for text in [*lines_of_code(page), *code_in_text(page)]:
        for target in re.findall(r"^make ([a-z][\w-]*)", text.strip()):
            assert target in targets, f"{page}: make {target}"


def test_the_page_of_commands_is_that_of_the_program() -> None:
    page = runpy.run_path(str(DOCS / "commands.py"))["page"]()
    assert (DOCS / "commands.md").read_text() == page, "run make commands"


@pytest.mark.parametrize("name", commands())
def test_every_command_is_explained_in_a_page_that_a_person_wrote(name: str) -> None:
    whole = re.compile(rf"wardround {name}(?![\w-])")
    assert any(whole.search((ROOT / page).read_text()) for page in BY_HAND), name


def test_every_command_and_option_has_a_help_text() -> None:
    assert {"simulate", "node budget"} <= commands().keys()
    for name, command in commands().items():
        assert command.help
        for parameter in command.params:
            # typer 0.20 loses the help of arguments (with click 8.4 on): the command's tells it
            argument = parameter.param_type_name == "argument"
            metavar = parameter.metavar or str(parameter.name).upper()
            told = metavar in command.help if argument else getattr(parameter, "help", None)
            assert told, f"{name} {parameter.name}"


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    modules = modules_after("from common.cli import make_app; make_app()")
    assert not {"torch", "flwr", "sklearn", "pandas", "scipy"} & modules
