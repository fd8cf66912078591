"""Scripts against the beginning of a session: its terms, its roster, its keys."""

from collections.abc import Callable, Iterator

from common.crypto import SigningKey
from common.privacy.masking.session import Session
from common.privacy.masking.statements import ADVERTISE, Advertisement, Context, Signed, signed
from simulation.attack.server import SERVER, Server, call_of, planted, server_of
from simulation.attack.stage import DIM, NOW, Stage, make_stage

VICTIM = "Ash"
DAY_MS = 86_400_000
Tamper = Callable[[Stage, Context, dict[str, Signed]], None]


def substituted_keys() -> Iterator[Stage]:
    """Put own keys in the place of hospitals': of all but the victim, or of one."""
    for replaced in (("Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper"), ("Birch",)):

        def tamper(
            stage: Stage,
            context: Context,
            offers: dict[str, Signed],
            names: tuple[str, ...] = replaced,
        ) -> None:
            for name in names:
                offers[name] = planted(stage, context.id, name, context.turns, SERVER)

        yield tampered(tamper)
    yield substituted_in_a_turn()


def substituted_in_a_turn() -> Stage:
    """Set up as agreed, and show the victim other masking keys than all others in a turn."""
    stage = make_stage()
    server = server_of(stage)
    true = call_of(server.session, 0, 1, stage.names)
    own = {
        name: Advertisement.read(planted(stage, "0" * 64, name, 1, SERVER).statement).turns[0].mask
        for name in server.without(VICTIM)
    }
    cards = tuple(
        card.model_copy(update={"mask": own.get(card.site, card.mask)}) for card in true.deck.cards
    )
    false = true.model_copy(update={"deck": true.deck.model_copy(update={"cards": cards})})
    for site in stage.names:
        stage.masked_input(site, false if site == VICTIM else true)
    server.confirm(true, stage.names, stage.names)
    return stage


def tampered(tamper: Tamper) -> Stage:
    """Open a session, change what is offered to the victim, and go on to its masked input."""
    stage = make_stage()
    context = stage.context()
    offers = {name: offer for name in stage.names if (offer := stage.advertise(name, context))}
    tamper(stage, context, offers)
    session = Session(context, tuple(offers.values()), {})
    if stage.deal(VICTIM, session.offers):
        stage.masked_input(VICTIM, call_of(session, 0, 1, session.names))
    return stage


def low_thresholds() -> Iterator[Stage]:
    """Ask for a threshold at which the colluders' shares, or few others, suffice."""
    for threshold in (1, 2, 4):
        stage = make_stage()
        server = server_of(stage, threshold=threshold)
        call = server.ask()
        server.finish(call, stage.names)
        yield stage


def tiny_cohorts() -> Iterator[Stage]:
    """Leave the victim alone with the colluders: in the cohort, or in a turn."""
    for cohort in (("Ash", "Juniper"), ("Ash", "Hazel", "Juniper")):
        stage = make_stage()
        threshold = 2 * len(cohort) // 3 + 1
        server = server_of(stage, cohort=cohort, threshold=threshold)
        if server.session.members:
            server.finish(server.ask(asked=cohort), cohort)
        yield stage
        stage = make_stage()
        server = server_of(stage)
        server.finish(server.ask(asked=cohort, sites=stage.names), cohort)
        yield stage


def stale_sessions() -> Iterator[Stage]:
    """Open a session again, or one of the past or the far future; ask for a round of the past."""
    for opened in (NOW, NOW - DAY_MS, NOW + 2 * DAY_MS):
        stage = make_stage()
        stage.set_up(opened=NOW + 1)
        again = stage.context(opened=opened)
        for site in stage.names:
            stage.advertise(site, again)
        yield stage
    stage = make_stage()
    context = stage.context()
    for _ in range(2):
        for site in stage.names:
            stage.advertise(site, context)
    yield stage
    stage = make_stage()
    server = server_of(stage)
    server.finish(server.ask(0, 5), stage.names)
    server.finish(server.ask(1, 3), stage.names)
    yield stage


def changed_terms() -> Iterator[Stage]:
    """Change the dimension, the scale, the ring, the study, the roster or the fast path."""
    changes: tuple[dict[str, object], ...] = (
        {"dim": DIM - 1},
        {"scale_bits": 16},
        {"ring_bits": 32},
        {"study": "0" * 64},
        {"roster": "0" * 64},
        {"federation": "elsewhere"},
        {"fast_path": False},
        {"turns": 0},
        {"turns": 100_000},
    )
    for change in changes:
        stage = make_stage()
        stage.set_up(**change)
        yield stage


def invalid_keys() -> Iterator[Stage]:
    """Name sites whose keys are expired, revoked or unknown."""
    for stage in (make_stage(expired=("Birch",)), make_stage(revoked=("Birch",))):
        stage.set_up()
        yield stage
    stage = make_stage()
    stage.set_up(cohort=(*stage.names, "Nowhere"))
    yield stage

    def stranger(stage: Stage, context: Context, offers: dict[str, Signed]) -> None:
        offers["Nowhere"] = planted(stage, context.id, "Nowhere", context.turns, SERVER)

    yield tampered(stranger)


def low_order_points() -> Iterator[Stage]:
    """Have a colluder advertise a key with which nothing is secret: to seal, or to mask."""
    for what in ("seal", "mask"):
        stage = make_stage()
        context = stage.context()
        found = {name: stage.advertise(name, context) for name in stage.names}
        offers = {name: offer for name, offer in found.items() if offer}
        offers["Juniper"] = _weakened(offers["Juniper"], what, stage.members["Juniper"].seat.key)
        server = Server(stage, stage.dealing(Session(context, tuple(offers.values()), {})))
        if len(server.session.members) >= context.threshold:
            server.ask()
        yield stage


def _weakened(offer: Signed, what: str, key: SigningKey) -> Signed:
    honest, point = Advertisement.read(offer.statement), bytes(32).hex()
    if what == "seal":
        return signed(honest.model_copy(update={"seal": point}), key, ADVERTISE)
    first = honest.turns[0].model_copy(update={"mask": point})
    return signed(honest.model_copy(update={"turns": (first, *honest.turns[1:])}), key, ADVERTISE)


def truncated_parts() -> Iterator[Stage]:
    """Cut what is sent: advertisements, cells, the deck."""

    def shorter(stage: Stage, context: Context, offers: dict[str, Signed]) -> None:
        honest = Advertisement.read(offers["Juniper"].statement)
        cut = honest.model_copy(update={"turns": honest.turns[:-1]})
        offers["Juniper"] = signed(cut, stage.members["Juniper"].seat.key, ADVERTISE)

    yield tampered(shorter)
    for cut in (slice(0, -1), slice(0, -148), slice(0, 0)):
        stage = make_stage()
        server = server_of(stage)
        call = server.ask()
        for site in call.asked:
            stage.confirm(site, 0, call.asked, server.cells(call, site)[cut])
        yield stage
    stage = make_stage()
    server = server_of(stage)
    whole = call_of(server.session, 0, 1, stage.names)
    deck = whole.deck.model_copy(update={"cards": whole.deck.cards[:-1]})
    for site in stage.names:
        stage.masked_input(site, whole.model_copy(update={"deck": deck}))
    yield stage
