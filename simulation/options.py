"""Options that `wardround simulate` and `wardround compare` share, and how both start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from common.errors import SettingsError

Data = Annotated[
    Path | None, typer.Option(help="Folder of uci-heart's files, or the file of a table.")
]
StudyFile = Annotated[
    Path | None,
    typer.Option(help="study.toml: describes a table, or changes a set's settings."),
]
Scenario = Annotated[
    Literal["few-shot", "personalised", "cross-domain"],
    typer.Option(help="What is held out: hospitals, patient groups or diagnoses."),
]
Sites = Annotated[int | None, typer.Option(min=2, help="Number of virtual hospitals (synthetic).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results.json on stdout.")]


def chosen(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given; files by their full path."""
    return {
        name: str(value.resolve()) if isinstance(value, Path) else value
        for name, value in given.items()
        if value is not None
    }


@contextmanager
def demo_extra(where: str) -> Iterator[None]:
    """Around imports that need the extra `demo`; where: the command that needs them.

    Raises:
        SettingsError: a part of it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed",
            where=where,
            remedy="pip install 'wardround[demo]'",
        ) from error
