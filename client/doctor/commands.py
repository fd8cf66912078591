"""`wardround node doctor`: each line ok, warning or problem, with its remedy.

Heavy imports stand inside the command, so that --help is quick.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def doctor(
    *,
    folder: Annotated[Path, typer.Option(help="The node's folder, with site.toml.")] = Path(),
    offline: Annotated[bool, typer.Option("--offline", help="Leave the network out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Find what could keep this node from taking part; exit code 0 only without a problem."""
    from client.doctor.checks import checks_of
    from client.doctor.finding import diagnose

    findings = list(diagnose(checks_of(folder, offline=offline)))
    problems = sum(one.verdict == "problem" for one in findings)
    if as_json:
        lines = [one._asdict() for one in findings]
        sys.stdout.write(json.dumps({"schema": 1, "problems": problems, "findings": lines}) + "\n")
    else:
        for one in findings:
            sys.stdout.write(f"{one.verdict:<8} {one.check:<10} {one.what}\n")
            if one.remedy:
                sys.stdout.write(f"{'':<20}-> {one.remedy}\n")
    if problems:
        raise typer.Exit(1)
