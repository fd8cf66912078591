"""Inviting sites, and sending them away."""

import os
import re
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from common.errors import SettingsError
from common.invitation import SECRET_BYTES, Invitation
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import InvitationEntry, open_book
from server.coordinator.settings import PlainName

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 30 * 86_400


class Revoked(NamedTuple):
    """What was ended: open invitations, a membership, a node key."""

    invitations: int
    site: bool
    node_key: bool


def seconds_of(span: str) -> int:
    """Return the seconds of a span such as 90m, 72h or 7d.

    Raises:
        SettingsError: it is no span, or longer than 30 days.
    """
    found = _SPAN.fullmatch(span)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise SettingsError(
            f"{span!r} is no time to live", where="--ttl", remedy="give 90m, 72h or 7d, at most 30d"
        )
    return seconds


def invite(folder: CoordinatorFolder, site: str, *, ttl_s: int, now: float) -> Invitation:
    """Return a new invitation for a site; only the hash of its secret is kept.

    Raises:
        SettingsError: this is no name for a site.
    """
    name = _checked(site)
    made = Invitation(folder.settings.address, folder.authority, os.urandom(SECRET_BYTES))
    with open_book(folder.registry) as book:
        book.add_invitation(made.hash, name, now=int(now), expires=int(now) + ttl_s)
    return made


def invitations(folder: CoordinatorFolder) -> list[InvitationEntry]:
    """Return all invitations that were ever made."""
    with open_book(folder.registry) as book:
        return book.invitations()


def revoke(folder: CoordinatorFolder, site: str, *, node_key: bool, now: float) -> Revoked:
    """End a site's invitations, membership and node key, or (node_key) its node key alone.

    A site whose node key alone is ended can bring another by its identity.

    Raises:
        SettingsError: there is nothing to revoke.
    """
    at = int(now)
    with open_book(folder.registry) as book:
        if node_key:
            done = Revoked(0, site=False, node_key=book.end_key(site, at))
        else:
            had_key = book.end_key(site, at)
            done = Revoked(book.revoke_invitations(site, at), book.revoke_site(site, at), had_key)
    if not any(done):
        raise SettingsError(
            f"there is nothing of {site!r} to revoke",
            where="revoke",
            remedy="wardround coordinator invite --list shows who was invited and who has joined",
        )
    return done


def _checked(site: str) -> str:
    try:
        return TypeAdapter(PlainName).validate_python(site)
    except ValidationError:
        raise SettingsError(
            "this is no name for a site", where="invite", remedy="give 1 to 80 printable characters"
        ) from None
