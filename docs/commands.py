"""Print docs/commands.md, every command and option, from the help texts of the program.

    make commands   # or: python docs/commands.py > docs/commands.md

A test fails when the page is older than the program.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from common.cli import make_app

HEAD = """# Commands

`wardround COMMAND --help` prints the same; this page is made from it (`make commands`). Every
command prints progress on stderr and its result on stdout, and ends with exit code 0 only on
success. Capital letters stand for a value.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(map(section, found("wardround", typer.main.get_command(make_app()))))


def found(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield each command below `command` with its full name; a group's own first."""
    for word, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from found(f"{name} {word}", inner)
        else:
            yield f"{name} {word}", inner


def section(named: tuple[str, Any]) -> str:
    """Return one command's heading, help and table of options."""
    name, command = named
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [str(p.make_metavar(None)) for p in shown if p.param_type_name == "argument"]
    rows = [row(p) for p in shown if p.param_type_name == "option"]
    usage = [f"`{' '.join([name, *arguments])}`", ""] if arguments else []
    table = ["", "| option | default | |", "|---|---|---|", *rows] if rows else []
    text = "\n".join(["", f"## {name}", "", *usage, help_of(command), *table, ""])
    return re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](\1)", text)


def help_of(command: Any) -> str:
    """Return the command's help as paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))


def row(option: Any) -> str:
    """Return an option's line of the table."""
    value = "" if option.is_flag else " " + value_of(option.type)
    names = ", ".join(f"`{name}{value}`" for name in [*option.opts, *option.secondary_opts])
    return f"| {names} | {default_of(option)} | {escaped(option.help)} |"


def value_of(kind: Any) -> str:
    """Return what stands for a value: its choices, or its kind in capital letters."""
    choices = getattr(kind, "choices", None)
    return "\\|".join(choices) if choices else kind.name.split()[0].upper()


def default_of(option: Any) -> str:
    """Return the default as it is typed; nothing for a switch, an empty text and a computed one."""
    if option.required:
        return "**required**"
    value = option.default
    if option.is_flag or value is None or callable(value) or value in ("", [], ()):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def escaped(text: str) -> str:
    """Return text that cannot end a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
