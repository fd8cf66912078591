"""`wardround coordinator init`, `invite`, `revoke`, `roster`: who takes part.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from common.privacy.masking.roster import Roster
    from server.coordinator.folder import CoordinatorFolder

Folder = Annotated[Path, typer.Option(help="The coordinator's folder (coordinator init).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    *,
    name: Annotated[str, typer.Option(help="The federation's name.")],
    host: Annotated[
        list[str], typer.Option(help="DNS name or address that hospitals dial; repeatable.")
    ],
    port: Annotated[int, typer.Option(help="The one port that the network sees.")] = 8443,
) -> None:
    """Make a coordinator's folder: certificate authority, signing key, settings.

    DIR is a new or an empty folder; it is made for you alone.
    """
    from common.certificates import in_groups
    from server.coordinator.folder import init_folder

    made = init_folder(folder, name, host, port=port, now=datetime.now(UTC))
    _print(
        f"Made {folder}. Keep a backup of it where nobody else reads: it cannot be made again.\n"
        f"Edge        https://{made.settings.address}\n"
        f"Authority   SHA-256 {in_groups(made.authority)}\n"
        f"Signs with  {made.signer().public.hex()}\n"
        f"Next        wardround coordinator invite NAME --folder {folder}"
    )


def invite(
    name: Annotated[str, typer.Argument(help="The site's name in studies.")] = "",
    *,
    folder: Folder = Path(),
    ttl: Annotated[str, typer.Option(help="How long it is good for: 90m, 72h, 7d.")] = "72h",
    show: Annotated[bool, typer.Option("--list", help="Show invitations and members.")] = False,
    as_json: Json = False,
) -> None:
    """Print the code by which one hospital joins; it holds a secret of one use.

    NAME is the site's name in studies.
    """
    from common.errors import SettingsError
    from server.coordinator import invitations as desk
    from server.coordinator.folder import open_folder

    opened, now = open_folder(folder), time.time()
    if show:
        _list(opened, now, as_json=as_json)
        return
    if not name:
        raise SettingsError("no site is named", where="invite", remedy="give NAME, or --list")
    made = desk.invite(opened, name, ttl_s=desk.seconds_of(ttl), now=now)
    if as_json:
        about = {"site": name, "code": made.code, "authority": made.authority}
        _print(json.dumps({"schema": 1} | about))
    else:
        sys.stderr.write(f"For {name}, once, within {ttl}. Send it by a way that you trust:\n")
        _print(made.code)


def revoke(
    name: Annotated[str, typer.Argument(help="The site's name.")],
    *,
    folder: Folder = Path(),
    node_key: Annotated[
        bool, typer.Option("--node-key", help="Its node key only: it may bring another one.")
    ] = False,
) -> None:
    """End the membership and the open invitations of site NAME; Flower turns its node away."""
    from server.coordinator import invitations as desk
    from server.coordinator.fleet import register_pending
    from server.coordinator.folder import open_folder

    opened = open_folder(folder)
    done = desk.revoke(opened, name, node_key=node_key, now=time.time())
    _print(
        f"Revoked of {name}: {done.invitations} open invitations, "
        f"{'its membership' if done.site else 'no membership'}, "
        f"{'its node key' if done.node_key else 'no node key'}."
    )
    if not register_pending(opened):
        _print("The SuperLink is not up: its node is turned away as soon as the coordinator runs.")


def roster(
    *,
    folder: Folder = Path(),
    study: Annotated[
        Path | None, typer.Option(help="The study; without it, the one that the folder serves.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft the roster of the study's sites, which the hospitals then sign, and show who has."""
    from common.study import read_study
    from server.coordinator import rosters
    from server.coordinator.folder import open_folder

    opened = open_folder(folder)
    agreed = read_study(study or opened.study)
    today = datetime.now(UTC).date()
    drafted = rosters.draft(opened, agreed, today=today)
    signed, path = rosters.votes(opened, drafted), rosters.write_roster(opened, today=today)
    force = rosters.in_force(opened, today=today)
    epoch = force.roster.epoch if force else None
    if as_json:
        about = {"epoch": drafted.epoch, "hash": drafted.hash, "signed": sorted(signed)}
        _print(json.dumps({"schema": 1, "in_force": epoch} | about))
        return
    _show(drafted, set(signed))
    _print(f"In force: epoch {epoch}, {path}" if path else "In force: none yet")


def _show(drafted: "Roster", signed: set[str]) -> None:
    from common.certificates import in_groups

    _print(f"Roster of {drafted.federation}, epoch {drafted.epoch}")
    for site in drafted.sites:
        mark = "signed  " if site.name in signed else "unsigned"
        _print(f"  {mark}  {site.name}, weight {site.weight:g}, key {in_groups(site.public_key)}")
    _print(f"Hash {in_groups(drafted.hash)}\nHospitals sign it: wardround node roster")


def _list(folder: "CoordinatorFolder", now: float, *, as_json: bool) -> None:
    from common.certificates import in_groups, node_fingerprint
    from server.coordinator.registry import open_book

    with open_book(folder.registry) as book:
        invited, sites = book.invitations(), book.sites()
        keys = {site.name: book.current_key(site.name) for site in sites}
    if as_json:
        shown = [{"site": i.site, "state": i.state(now), "expires": i.expires} for i in invited]
        members = [{"site": s.name, "member": s.revoked is None} for s in sites]
        _print(json.dumps({"schema": 1, "invitations": shown, "sites": members}))
        return
    for one in invited:
        until = datetime.fromtimestamp(one.expires, UTC).strftime("%Y-%m-%d %H:%M")
        _print(f"invitation  {one.state(now):<8}  {one.site}, until {until}Z")
    for site in sites:
        state = "member" if site.revoked is None else "revoked"
        _print(f"site        {state:<8}  {site.name}, identity {in_groups(site.identity)}")
        if (key := keys[site.name]) and key.until is None:
            known = "known to Flower" if key.registered else "Flower is told when it is up"
            _print(f"{'':22}node key {in_groups(node_fingerprint(key.public))}, {known}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
