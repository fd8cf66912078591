"""The roster for the masked profile: drafted here, signed by the hospitals, decided by them.

Whatever is changed here after a hospital has signed makes its signature void: hospitals hold the
roster against their own rules (common.privacy.masking.roster.check_roster).
"""

import contextlib
from datetime import date, timedelta
from pathlib import Path

from common.enrolment import RosterVote
from common.errors import CryptoError, SettingsError
from common.files import write_atomically
from common.privacy.masking.roster import (
    Roster,
    RosterSite,
    SignedRoster,
    check_roster,
    roster_text,
    verify_vote,
)
from common.study import Study
from server.coordinator.enrolling import refusal
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import Book, SiteEntry, open_book

ROSTER_FILE = "roster.json"


def draft(folder: CoordinatorFolder, study: Study, *, today: date) -> Roster:
    """Return the roster of the study's sites, a new epoch unless the last one says the same.

    Raises:
        SettingsError: the study names no sites, or one that has not joined.
    """
    with open_book(folder.registry) as book:
        sites = _members(book, study)
        texts = book.rosters()
        last = Roster.read(texts[-1]) if texts else None
        made = Roster(
            federation=folder.settings.name,
            epoch=last.epoch + 1 if last else 1,
            sites=_listed(folder, study, sites, today),
            revoked=_void(texts, {site.identity for site in sites.values()}),
        )
        if last and _says(last) == _says(made) and _lasts(last, today):
            return last
        book.add_roster(made.hash, made.epoch, made.text)
    return made


def votes(folder: CoordinatorFolder, roster: Roster) -> dict[str, str]:
    """Return the signatures that hospitals have given a roster."""
    with open_book(folder.registry) as book:
        return book.votes(roster.hash)


def proposal(folder: CoordinatorFolder) -> str:
    """Return the file of the last roster with all signatures, for members.

    Raises:
        InvalidMessage: none was drafted.
    """
    with open_book(folder.registry) as book:
        texts = book.rosters()
        if not texts:
            raise refusal("no-roster", "there is no roster yet")
        roster = Roster.read(texts[-1])
        return roster_text(SignedRoster(roster=roster, signatures=book.votes(roster.hash)))


def in_force(folder: CoordinatorFolder, *, today: date) -> SignedRoster | None:
    """Return the last roster that enough hospitals have signed, as hospitals would find it."""
    last: SignedRoster | None = None
    with open_book(folder.registry) as book:
        for text in book.rosters():
            roster = Roster.read(text)
            signed = SignedRoster(roster=roster, signatures=book.votes(roster.hash))
            drafted = max(site.not_before for site in roster.sites)
            with contextlib.suppress(SettingsError):
                check_roster(signed, last.roster if last else None, today=drafted, where="registry")
                last = signed
    return last if last and _lasts(last.roster, today) else None


def write_roster(folder: CoordinatorFolder, *, today: date) -> Path | None:
    """Write the roster in force for the ServerApp and return its path; None if there is none."""
    signed = in_force(folder, today=today)
    if signed is None:
        return None
    path = folder.path / ROSTER_FILE
    write_atomically(path, roster_text(signed).encode())
    return path


def vote(folder: CoordinatorFolder, text: str) -> str:
    """Keep a hospital's signature of the last roster and return how many there are.

    A hospital signs that is on the roster, or on the one before it, with the key that stands there.

    Raises:
        InvalidMessage: it is no such signature.
    """
    given = RosterVote.read(text)
    with open_book(folder.registry) as book:
        texts = [Roster.read(one) for one in book.rosters()[-2:]]
        if not texts or texts[-1].hash != given.roster:
            raise refusal("stale-roster", "this is not the roster that is proposed now")
        keys = {s.public_key for roster in texts for s in roster.sites if s.name == given.site}
        if not any(_holds(texts[-1], key, given) for key in keys):
            raise refusal("bad-signature", "the signature is not of a hospital on the roster")
        book.put_vote(given.roster, given.site, given.signature)
        return str(len(book.votes(given.roster)))


def _holds(roster: Roster, key: str, given: RosterVote) -> bool:
    try:
        verify_vote(roster, key, given.signature)
    except CryptoError:
        return False
    return True


def _members(book: Book, study: Study) -> dict[str, SiteEntry]:
    """Return the members that the study names, by name."""
    joined = {site.name: site for site in book.sites() if site.revoked is None}
    names = [site.name for site in study.sites]
    missing = [name for name in names if name not in joined]
    if missing or not names:
        what = f"not joined yet: {', '.join(missing)}" if names else "the study names no sites"
        raise SettingsError(
            what, where="roster", remedy="invite them, or sign a study of the sites that take part"
        )
    return {name: joined[name] for name in names}


def _listed(
    folder: CoordinatorFolder, study: Study, sites: dict[str, SiteEntry], today: date
) -> tuple[RosterSite, ...]:
    end = today + timedelta(days=folder.settings.roster_days)
    return tuple(
        RosterSite(
            name=site.name,
            public_key=sites[site.name].identity,
            weight=site.weight,
            not_before=today,
            not_after=end,
        )
        for site in study.sites
    )


def _void(texts: list[str], standing: set[str]) -> tuple[str, ...]:
    """Return the keys of earlier rosters that no member has any more."""
    once: set[str] = set()
    for text in texts:
        roster = Roster.read(text)
        once |= {site.public_key for site in roster.sites} | set(roster.revoked)
    return tuple(sorted(once - standing))


def _says(roster: Roster) -> object:
    return {(s.name, s.public_key, s.weight) for s in roster.sites}, roster.revoked


def _lasts(roster: Roster, today: date) -> bool:
    return all(site.not_before <= today < site.not_after for site in roster.sites)
