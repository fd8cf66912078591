"""The command line: put together from the commands that the installed packages offer.

A package adds a command under the entry point group `wardround.commands`, or one of a family, such
as `wardround.node.commands`; so this module imports none of the upper layers, and a hospital's
install shows a hospital's commands only.
"""

import os
import sys
from importlib.metadata import entry_points, version

import typer

from common.errors import WardroundError

INTERRUPTED = 130
FAMILIES = {
    "node": "What the keeper of a hospital's node decides.",
    "coordinator": "What the coordinator of a study does.",
}


def make_app() -> typer.Typer:
    """Return the application with all installed commands."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True)
    def wardround(
        show_version: bool = typer.Option(False, "--version", help="Print the version and end."),
    ) -> None:
        """Federated meta-learning across hospitals."""
        if show_version:
            sys.stdout.write(version("wardround") + "\n")
            raise typer.Exit

    _add_commands(app, "wardround.commands")
    for family, about in FAMILIES.items():
        inner = typer.Typer(no_args_is_help=True, help=about)
        if _add_commands(inner, f"wardround.{family}.commands"):
            app.add_typer(inner, name=family)
    return app


def _add_commands(app: typer.Typer, group: str) -> int:
    """Add the commands of an entry point group, and return their number."""
    commands = sorted(entry_points(group=group), key=lambda c: c.name)
    for command in commands:
        app.command(command.name)(command.load())
    return len(commands)


def main() -> None:
    """Run the command line: exit code 0 on success only, a user's mistake is one line on stderr."""
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # flwr reads it when it is imported
    try:
        make_app()()
    except WardroundError as error:
        sys.stderr.write(f"wardround: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # click has turned Ctrl-C into this, without a word
            sys.stderr.write("wardround: stopped; --resume goes on from the last round\n")
        raise
