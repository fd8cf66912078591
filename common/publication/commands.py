"""`wardround verify`: anybody checks a published folder. Heavy imports stand inside the command."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The published folder.")],
    *,
    key: Annotated[
        str, typer.Option(help="The coordinator's public key (64 hex digits), told by telephone.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check a folder that a federation published: whole, unchanged, signed, and true to itself.

    DIR is the published folder. Exit code 0 only if all is well; no network is needed.
    """
    from common.publication.checks import check_folder

    wanted = _key(key)
    checks = check_folder(folder, key=wanted)
    well = all(check.holds for check in checks)
    if as_json:
        about = {"schema": 1, "ok": well, "checks": [check._asdict() for check in checks]}
        sys.stdout.write(json.dumps(about, indent=1) + "\n")
    else:
        for check in checks:
            mark = "ok     " if check.holds else "PROBLEM"
            sys.stdout.write(f"{mark}  {check.name:<9}  {_plain(check.found)}\n")
    if not well:
        raise typer.Exit(1)


def _key(given: str) -> str:
    """Return a public key as hex digits; blanks in it are of no account.

    Raises:
        SettingsError: it is none.
    """
    from common.errors import SettingsError

    key = "".join(given.split()).lower()
    if given and (len(key) != 64 or set(key) - set("0123456789abcdef")):
        raise SettingsError(
            "this is no public key", where="--key", remedy="give 64 hexadecimal digits"
        )
    return key


def _plain(text: str) -> str:
    """Return text without characters that move a terminal's cursor: it comes from the folder."""
    return "".join(c if c.isprintable() else "?" for c in text)
