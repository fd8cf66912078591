"""The roster: which sites there are, with what keys, signed by the hospitals themselves.

The coordinator's word counts for nothing here: else it could name sites that it has invented, or
put its own keys in the place of a hospital's, and every mask would be its own.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from common.crypto import SigningKey, digest, verify
from common.errors import InvalidMessage, SettingsError
from common.privacy.masking.statements import ROSTER, Hex32, Hex64, SiteName, Statement, violation
from common.study_sections import wrong_setting

MAX_SITES = 1024


class RosterSite(Statement):
    """A hospital: the Ed25519 key that signs for it from `not_before` to `not_after`, inclusive."""

    name: SiteName
    public_key: Hex32
    weight: Annotated[float, Field(gt=0)]
    not_before: date
    not_after: date


class Roster(Statement):
    """The hospitals of a federation in an order that never matters; revoked: keys that are void."""

    version: Literal[1] = 1
    federation: Annotated[str, Field(min_length=1, max_length=80)]
    epoch: Annotated[int, Field(ge=1)]
    sites: tuple[RosterSite, ...] = Field(min_length=1, max_length=MAX_SITES)
    revoked: tuple[Hex32, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for values in ([s.name for s in self.sites], [s.public_key for s in self.sites]):
            if len(set(values)) < len(values):
                raise ValueError("two sites share a name or a key")
        return self

    @property
    def hash(self) -> str:
        """What a session names it by."""
        return digest(ROSTER, self.text).hex()

    def position(self, name: str) -> int:
        """Return the site's number, from 1.

        Raises:
            InvalidMessage: there is no such site.
        """
        for number, site in enumerate(self.sites, start=1):
            if site.name == name:
                return number
        raise violation("unknown-site", "a site is not on the roster")

    def key(self, name: str, today: date) -> bytes:
        """Return the public key that signs for a site today.

        Raises:
            InvalidMessage: there is no such site, or its key is revoked, expired or not yet valid.
        """
        site = self.sites[self.position(name) - 1]
        if site.public_key in self.revoked:
            raise violation("revoked-key", f"the key of {name} is revoked")
        if not site.not_before <= today <= site.not_after:
            raise violation("expired-key", f"the key of {name} is not valid today")
        return bytes.fromhex(site.public_key)


def lasting_sites(
    keys: Mapping[str, SigningKey], weights: Mapping[str, float]
) -> tuple[RosterSite, ...]:
    """Return roster entries that never expire, for sites that are simulated or stood in for."""
    return tuple(
        RosterSite(
            name=name,
            public_key=key.public.hex(),
            weight=weights[name],
            not_before=date.min,
            not_after=date.max,
        )
        for name, key in keys.items()
    )


class SignedRoster(Statement):
    """A roster and the signatures of hospitals, by name."""

    roster: Roster
    signatures: Mapping[SiteName, Hex64]


def sign_roster(roster: Roster, key: SigningKey) -> str:
    """Return one hospital's signature, as it stands in the roster's file."""
    return key.sign(ROSTER, roster.text).hex()


def verify_vote(roster: Roster, public_key: str, signature: str) -> None:
    """Return if a signature of the roster is that of the key (hex).

    Raises:
        CryptoError: it is not.
    """
    verify(bytes.fromhex(public_key), bytes.fromhex(signature), ROSTER, roster.text)


def read_roster(text: str, *, where: str) -> SignedRoster:
    """Return what a roster's file says; not yet whether it holds.

    Raises:
        SettingsError: it is no roster.
    """
    try:
        return SignedRoster.model_validate_json(text)
    except ValidationError as error:
        remedy = "ask for the federation's roster"
        raise wrong_setting(error, whole="roster", where=where, remedy=remedy) from error


def roster_text(signed: SignedRoster) -> str:
    """Return a roster's file: JSON that people can read too."""
    return json.dumps(signed.model_dump(mode="json"), indent=1) + "\n"


def check_roster(
    signed: SignedRoster, previous: Roster | None, *, today: date, where: str
) -> Roster:
    """Return the roster if enough hospitals have signed it.

    A first roster is signed by all of its own sites, any later one by two thirds of the hospitals
    of the one before; a key that is revoked there or not valid today signs for nobody.

    Raises:
        SettingsError: too few have signed, or it does not follow on the previous one.
    """
    roster, voters = signed.roster, previous or signed.roster
    if previous and not _follows(roster, previous):
        raise _refused("it is of another federation, or not newer than the one in use", where)
    needed = -(-2 * len(_standing(voters)) // 3) if previous else len(roster.sites)
    valid = sum(_holds(signed, name, voters, today) for name in signed.signatures)
    if valid < max(needed, 1):
        raise _refused(f"{valid} valid signatures of hospitals, {needed} are needed", where)
    return roster


def _follows(roster: Roster, previous: Roster) -> bool:
    return roster.federation == previous.federation and roster.epoch > previous.epoch


def _standing(voters: Roster) -> list[str]:
    return [site.name for site in voters.sites if site.public_key not in voters.revoked]


def _holds(signed: SignedRoster, name: str, voters: Roster, today: date) -> bool:
    signature = bytes.fromhex(signed.signatures[name])
    try:
        verify(voters.key(name, today), signature, ROSTER, signed.roster.text)
    except InvalidMessage:
        return False
    return True


def _refused(why: str, where: str) -> SettingsError:
    return SettingsError(
        f"the roster does not hold: {why}",
        where=where,
        remedy="ask the hospitals, not the coordinator, for the roster that they have signed",
    )
