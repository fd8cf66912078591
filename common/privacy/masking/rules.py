"""What a site insists on, whatever the coordinator says: who is in, how many, on what terms.

With k sites of which t are needed, f of them in league with the coordinator, no two different
statements can both be signed by t sites if 2t > k + f: an honest site signs once in a turn. That is
what keeps the coordinator from being given a site's self-mask by some peers and its masking key by
others, and then unmasking it (Bonawitz et al. 2017, section 6.2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from common.errors import SettingsError
from common.privacy.masking.roster import Roster
from common.privacy.masking.statements import (
    ADVERTISE,
    Advertisement,
    Context,
    Deck,
    Signed,
    violation,
)

SMALLEST_COHORT = 3
"""In a sum of two, each of the two sees the other's update."""
TURNS, MAX_TURNS = 32, 256
"""Attempts at a round that a session serves: a coordinator's usual offer, and the most."""
DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A site's own minima; the coordinator can only be stricter.

    study, dim: of the study that the site has approved. min_cohort: so many sites at least in every
    sum. colluders: f, how many peers may be in league with the coordinator. fast_path: whether
    shares of self-masks may come with the confirmation when nobody dropped out.
    """

    study: str
    dim: int
    min_cohort: int = 5
    colluders: int = 1
    fast_path: bool = True

    def __post_init__(self) -> None:
        """Refuse minima that protect nobody."""
        if self.min_cohort < SMALLEST_COHORT or self.colluders < 0:
            raise SettingsError(
                f"min_cohort is {self.min_cohort}, colluders is {self.colluders}",
                where="policy",
                remedy=f"give min_cohort of {SMALLEST_COHORT} or more, colluders of 0 or more",
            )


def threshold_of(cohort: int) -> int:
    """Return t = floor(2k/3) + 1, the least that a site accepts for a cohort of k."""
    return 2 * cohort // 3 + 1


def check_context(
    context: Context, policy: Policy, roster: Roster, *, name: str, after: int, now: int
) -> None:
    """Return if the site may join the session; after: when its last one was opened.

    Raises:
        InvalidMessage: it may not.
    """
    terms = (context.study, context.dim, context.roster, context.federation, context.fast_path)
    agreed = (policy.study, policy.dim, roster.hash, roster.federation, policy.fast_path)
    _demand(terms == agreed, "wrong-terms", "the session is not on the terms that were approved")
    _demand(after < context.opened <= now + DAY_MS, "stale-session", "the session is not a new one")
    _demand(1 <= context.turns <= MAX_TURNS, "wrong-terms", "the number of turns is out of range")
    check_sites(context.cohort, roster, today_of(now))
    check_presence(context.cohort, name, context.threshold, policy)
    check_threshold(len(context.cohort), context.threshold, policy.colluders)


def check_threshold(cohort: int, threshold: int, colluders: int) -> None:
    """Return if t of k sites suffice to outvote f colluders and leave two honest ones in a sum.

    Raises:
        InvalidMessage: they do not.
    """
    enough = threshold_of(cohort) <= threshold <= cohort
    safe = 2 * threshold > cohort + colluders and threshold - colluders >= 2
    _demand(enough and safe, "low-threshold", f"{threshold} of {cohort} sites are too few")


def check_sites(names: Sequence[str], roster: Roster, today: date) -> None:
    """Return if the names are of the roster, in its order, with keys that are valid today.

    Raises:
        InvalidMessage: they are not.
    """
    numbers = [roster.position(name) for name in names]
    _demand(numbers == sorted(set(numbers)), "wrong-order", "names are twice or out of order")
    for name in names:
        roster.key(name, today)


def check_presence(names: Sequence[str], name: str, threshold: int, policy: Policy) -> None:
    """Return if a set of sites is large enough and this site is among them.

    Raises:
        InvalidMessage: it is not.
    """
    _demand(name in names, "not-named", "this site is not among those named")
    enough = len(names) >= max(policy.min_cohort, threshold)
    _demand(enough, "small-cohort", f"{len(names)} sites are too few")


def check_within(names: Iterable[str], whole: Sequence[str]) -> None:
    """Return if the names are of a larger list, in its order, each once.

    Raises:
        InvalidMessage: they are not.
    """
    chosen = list(names)
    ordered = [name for name in whole if name in set(chosen)]
    _demand(chosen == ordered, "wrong-sites", "sites are named that were not asked, or twice")


def check_advertisements(
    signed: Sequence[Signed], context: Context, roster: Roster, today: date
) -> tuple[Advertisement, ...]:
    """Return the advertisements of a session, all signed by their sites, no key among them twice.

    Raises:
        InvalidMessage: one does not hold.
    """
    read = tuple(Advertisement.read(one.statement) for one in signed)
    check_within((one.site for one in read), context.cohort)
    for one, advertisement in zip(signed, read, strict=True):
        one.check(roster.key(advertisement.site, today), ADVERTISE)
        fits = (advertisement.context, len(advertisement.turns)) == (context.id, context.turns)
        _demand(fits, "wrong-context", "an advertisement is of another session")
    keys = [key for one in read for key in (one.seal, *(turn.mask for turn in one.turns))]
    _demand(len(set(keys)) == len(keys), "repeated-key", "a key is advertised twice")
    return read


def check_deck(deck: Deck, context: str, digests: Sequence[str], *, first: int) -> None:
    """Return if the cards are those of a turn of the session that is still to come.

    Raises:
        InvalidMessage: they are not.
    """
    _demand(deck.context == context, "wrong-context", "the turn is of another session")
    _demand(first <= deck.turn < len(digests), "stale-turn", "the turn is over or does not exist")
    _demand(deck.digest == digests[deck.turn], "wrong-keys", "the keys are not those advertised")


def today_of(now: int) -> date:
    """Return the date (UTC) of a time in milliseconds."""
    return datetime.fromtimestamp(now / 1000, UTC).date()


def _demand(holds: bool, code: str, otherwise: str) -> None:
    if not holds:
        raise violation(code, otherwise)
