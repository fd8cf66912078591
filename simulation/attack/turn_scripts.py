"""Scripts against a turn: who is in, who has dropped out, what was signed, what comes again."""

from collections.abc import Iterator

from simulation.attack.server import OTHER, Server, call_of, server_of
from simulation.attack.stage import Stage, make_stage

VICTIM = "Ash"
HALVES = (("Ash", "Birch", "Cedar"), ("Elm", "Fir"))
"""The honest sites, divided."""
HONEST = (*HALVES[0], *HALVES[1])


def overlapping_lists() -> Iterator[Stage]:
    """Name a site twice, or one that was not asked, among the survivors or those asked."""
    for survivors in (
        ("Ash", "Ash", "Birch", "Cedar", "Elm", "Fir"),
        ("Birch", "Ash", "Cedar", "Elm", "Fir", "Hazel"),
        ("Ash", "Birch", "Cedar", "Elm", "Fir", "Juniper"),
    ):
        stage = make_stage()
        server = server_of(stage)
        call = server.ask(asked=server.without("Juniper"))
        signatures = server.confirm(call, survivors, HONEST)
        server.cheat(call, survivors, signatures, HONEST)
        yield stage
    stage = make_stage()
    server = server_of(stage)
    asked = ("Ash", "Hazel", "Hazel", "Juniper", "Juniper")
    server.finish(server.ask(asked=asked, sites=stage.names), asked)
    yield stage


def split_survivors() -> Iterator[Stage]:
    """Tell some that all survived and others that the victim dropped out."""
    for fast_path in (True, False):
        for told in (*HALVES, HONEST[1:]):
            stage = make_stage(fast_path=fast_path)
            server = server_of(stage)
            call = server.ask()
            others = tuple(site for site in HONEST if site not in told)
            fewer = server.without(VICTIM)
            dropped = server.confirm(call, fewer, [site for site in told if site != VICTIM])
            alive = server.confirm(call, call.asked, others)
            server.cheat(call, call.asked, alive, others)
            server.cheat(call, fewer, dropped, told)
            yield stage
    yield own_views(forge=True)
    yield own_views(forge=False)


OWN_VIEWS = {
    "Ash": ("Ash", "Birch", "Cedar"),
    "Birch": ("Ash", "Birch", "Elm"),
    "Cedar": ("Ash", "Birch", "Cedar"),
    "Elm": ("Ash", "Birch", "Elm"),
    "Fir": ("Ash", "Birch", "Fir"),
}
"""Each list has three honest sites. Yet only Ash and Birch are on three lists or more, so that with
two colluders' shares their self-masks would come out, and of all others the masking keys."""


def own_views(*, forge: bool) -> Stage:
    """Tell each site a list of survivors of its own, with few signatures or with forged ones."""
    stage = make_stage(fast_path=False)
    server = server_of(stage)
    call = server.ask()
    for site, honest in OWN_VIEWS.items():
        survivors = (*honest, *stage.colluders)
        signatures = server.confirm(call, survivors, [site])
        server.cheat(call, survivors, signatures, [site], forge=forge)
    return stage


def split_calls() -> Iterator[Stage]:
    """Ask some for masks with all, and others for masks with all but the victim."""
    for told in HALVES:
        stage = make_stage()
        server = server_of(stage)
        others = tuple(site for site in stage.names if site not in told)
        fewer = server.without("Elm" if VICTIM in told else VICTIM)
        wide = server.ask(sites=others)
        narrow = server.ask(asked=fewer, sites=told)
        for call, sites in ((wide, others), (narrow, told)):
            signatures = server.confirm(call, call.asked, sites)
            server.cheat(call, call.asked, signatures, sites)
            server.cheat(call, server.without(VICTIM), {}, sites)
        yield stage


def replays() -> Iterator[Stage]:
    """Send the messages of a turn again when the next one has begun, or with another model."""
    stage = make_stage()
    server = server_of(stage)
    old = server.ask(0, 1)
    server.finish(old, stage.names)
    server.ask(1, 2)
    server.ask(0, 3)
    server.confirm(old, old.asked, HONEST)
    yield stage
    stage = make_stage()
    server = server_of(stage)
    call = server.ask()
    server.ask(theta=OTHER)
    server.finish(call, call.asked)
    yield stage
    stage = make_stage()
    server = server_of(stage)
    stage.dealing(server.session)
    yield stage


def forged_signatures() -> Iterator[Stage]:
    """Let some tell the shares of all self-masks, and forge what the others need to tell keys."""
    for fast, slow in (HALVES, HALVES[::-1], (HONEST, HONEST)):
        stage = make_stage()
        server = server_of(stage)
        call = server.ask()
        fewer = server.without(VICTIM)
        server.confirm(call, call.asked, fast)
        signatures = server.confirm(call, fewer, [site for site in slow if site != VICTIM])
        server.cheat(call, fewer, signatures, slow)
        yield stage
    yield own_views(forge=True)


def different_models() -> Iterator[Stage]:
    """Send the victim, or each site, a model of its own."""
    for models in ({VICTIM: OTHER}, dict.fromkeys(HONEST[:3], OTHER)):
        stage = make_stage()
        server = server_of(stage)
        call = call_of(server.session, 0, 1, stage.names)
        for site in stage.names:
            if site in models:
                stage.masked_input(site, call, models[site])
            else:
                stage.masked_input(site, call)
        signatures = server.confirm(call, call.asked, stage.names)
        server.cheat(call, call.asked, signatures, stage.names)
        yield stage


def second_statements() -> Iterator[Stage]:
    """Have a turn confirmed, and then again with fewer survivors."""
    for fast_path in (True, False):
        stage = make_stage(fast_path=fast_path)
        server = server_of(stage)
        call = server.ask()
        server.finish(call, call.asked)
        again(server, call_sites=HONEST[1:])
        yield stage


def again(server: Server, call_sites: tuple[str, ...]) -> None:
    """Ask for a second statement on the first turn, without the victim, and for its shares."""
    call = call_of(server.session, 0, 1, server.stage.names)
    fewer = server.without(VICTIM)
    signatures = server.confirm(call, fewer, call_sites)
    server.cheat(call, fewer, signatures, call_sites)


def isolation() -> Iterator[Stage]:
    """Have only the victim and the colluders survive, or be asked."""
    alone = (VICTIM, "Hazel", "Juniper")
    stage = make_stage()
    server = server_of(stage)
    call = server.ask()
    signatures = server.confirm(call, alone, HONEST)
    server.cheat(call, alone, signatures, HONEST)
    yield stage
    stage = make_stage()
    server = server_of(stage)
    call = server.ask(asked=alone, sites=stage.names)
    server.confirm(call, alone, HONEST)
    yield stage


def killed_between_phases() -> Iterator[Stage]:
    """Restart the sites after each phase, and ask again for something else."""
    stage = make_stage()
    server = server_of(stage)
    server.ask()
    restart(stage)
    server.ask(theta=OTHER)
    yield stage
    stage = make_stage()
    server = server_of(stage)
    call = server.ask()
    server.confirm(call, call.asked, HONEST)
    restart(stage)
    again(server, call_sites=HONEST[1:])
    yield stage
    stage = make_stage()
    server = server_of(stage)
    server.finish(server.ask(), server.without(VICTIM))
    restart(stage)
    server.finish(server.ask(1, 1), stage.names)
    yield stage


def restart(stage: Stage) -> None:
    """End all members' processes and start them again."""
    for site in stage.names:
        stage.kill(site)


def retries_after_reveal() -> Iterator[Stage]:
    """Ask for the same round once more, with one site fewer: the sums' difference is its vector."""
    for survivors, asked in ((0, 1), (1, 0)):  # how many are missing
        stage = make_stage()
        server = server_of(stage)
        server.finish(server.ask(0, 1), stage.names[survivors:])
        server.finish(server.ask(1, 1, stage.names[asked:]), stage.names[asked:])
        yield stage
    stage = make_stage()
    server = server_of(stage)
    server.finish(server.ask(0, 1), stage.names)
    second = server_of(stage)
    second.finish(second.ask(0, 1, stage.names[1:]), stage.names[1:])
    yield stage
