"""`wardround node join`, `rotate-key`, `roster`: how a hospital becomes a member, and stays one.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.join.joining import Joined

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Folder = Annotated[Path, typer.Option(help="The node's folder, with site.toml.")]
ENOUGH_DIGITS = 12


def join(
    code: Annotated[str, typer.Argument(help="The invitation, as the coordinator sent it.")],
    *,
    folder: Annotated[Path, typer.Option(help="The node's folder; made if missing.")] = Path(),
    site: Annotated[str, typer.Option(help="Your hospital's name, as it was invited.")],
    as_json: Json = False,
) -> None:
    """Join a federation: make keys here, compare the coordinator's authority, enrol.

    CODE is the invitation, as the coordinator sent it.
    """
    from client.join.joining import join as join_federation

    joined = join_federation(code, folder, site)
    if as_json:
        about = joined._asdict() | {"receipt": joined.receipt.model_dump(mode="json")}
        _print(json.dumps({"schema": 1} | about))
    else:
        _show(joined, folder)


def rotate_key(*, folder: Folder = Path(), as_json: Json = False) -> None:
    """Put a new node key in the place of the old one, which then opens nothing any more."""
    from client.join.joining import rotate_key as rotate
    from common.certificates import in_groups

    receipt, node = rotate(folder)
    if as_json:
        _print(json.dumps({"schema": 1, "node": node, "registered": receipt.registered}))
        return
    _print(f"New node key  SHA-256 {in_groups(node)}")
    if not receipt.registered:
        _print("The coordinator tells Flower as soon as its SuperLink is up.")
    _print("Restart the node: it still holds the old key, which is turned away.")


def roster(
    *,
    folder: Folder = Path(),
    yes: Annotated[
        str, typer.Option(help="Sign without being asked: the roster's hash, 12 digits or more.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show the roster of hospitals and their keys, sign it, and fetch it once enough have."""
    from client.hospital import open_hospital
    from client.join import rosters

    hospital = open_hospital(folder)
    proposed = rosters.fetch(hospital)
    tell = _silent if as_json else _print
    tell("\n".join(rosters.describe(proposed, hospital.name)))
    if not rosters.has_signed(proposed, hospital):
        _require_yes(proposed.roster.hash, yes)
        rosters.sign(hospital, proposed)
        tell("Signed.")
    waiting = rosters.take(hospital, proposed.roster, today=datetime.now(UTC).date())
    if as_json:
        about = {"hash": proposed.roster.hash, "in_use": not waiting, "waiting": waiting}
        _print(json.dumps({"schema": 1} | about))
    else:
        tell(f"Not in use yet: {waiting}." if waiting else f"In use: {hospital.roster}")


def _silent(text: str) -> None:
    """Tell nobody: machines get the end alone."""


def _require_yes(whole: str, yes: str) -> None:
    """Return if the person has typed the roster's hash.

    Raises:
        SettingsError: they have not, or another one.
    """
    from common.errors import SettingsError

    given = yes or typer.prompt(
        f"Compare the hash with another hospital; type its first {ENOUGH_DIGITS} digits to sign",
        err=True,
    )
    digits = str(given).replace(" ", "").lower()
    if len(digits) < ENOUGH_DIGITS or not whole.startswith(digits):
        raise SettingsError(
            "this is not the hash of the roster",
            where="roster",
            remedy="compare it with another hospital by telephone, then type it",
        )


def _show(joined: "Joined", folder: Path) -> None:
    from client.join.line import printable
    from common.certificates import in_groups

    receipt = joined.receipt
    _print(
        f"Joined {printable(receipt.federation)} as {printable(receipt.site)}. "
        "Compare by telephone with the coordinator:\n"
        f"  authority   SHA-256 {in_groups(joined.authority)}\n"
        f"  its key     {in_groups(receipt.key)}\n"
        f"  your key    {in_groups(joined.identity)}\n"
        f"  node key    SHA-256 {in_groups(joined.node)}"
    )
    if not receipt.registered:
        _print("The coordinator tells Flower of the node key as soon as its SuperLink is up.")
    for name, value in joined.missing.items():
        _print(f'Set in [coordinator] of {folder / "site.toml"}: {name} = "{printable(value)}"')
    if joined.study:
        _print(f"Next: wardround node approve {folder / 'study.toml'} --folder {folder}")
    else:
        _print("There is no study yet; run this again when there is one, to fetch it.")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
