"""A run's state in words, for people who have not read its code."""

from typing import NamedTuple

from server.control import Status, Wish

ENDED = frozenset({"below quorum", "stopped", "finished", "failed"})
"""Phases in which a run's process has come to its end: nobody reads a wish any more."""

REASONS = {
    "away": "let an earlier deadline pass, not waited for",
    "absent": "has not answered the roll call",
    "deadline": "no answer before the deadline",
    "closed": "too late, the round had enough",
    "error-2": "its client failed; its own log says why",
    "error-5": "its node has lost touch",
    "unknown-node": "its node is unknown",
    "resting": "left out for a few rounds after it had dropped out",
    "no-session": "has missed the set-up of secure aggregation",
    "no-sum": "sent well, but there is no sum of enough sites",
    "sum-too-large": "the sum is too large to be one of honest updates",
    "stopped": "has given up secure aggregation; its engineer has to look",
    "wrong-study": "holds another study",
    "stale-round": "answered for another round",
    "not-finite": "sent a number that is not finite",
    "norm-too-large": "sent an update that is too large",
    "wrong-shape": "sent an update of another shape",
    "implausible-norm": "sent an update that no honest site would",
    "not-independent": "shares with another site what should be secret noise",
    "too-few": "too few updates to compare",
}


class State(NamedTuple):
    """How a run stands. tone: good, wait, bad, done or idle. can: wishes that make sense now."""

    tone: str
    word: str
    sentence: str
    can: tuple[Wish, ...] = ()


def reason(code: str) -> str:
    """Return what a reason in the record means, or "" for one that says it itself."""
    return REASONS.get(code) or REASONS.get(code.partition(" ")[0], "")


def state_of(status: Status | None, wish: Wish, *, alive: bool, closed: int, rounds: int) -> State:
    """Return how a run stands.

    status: None where the run keeps none. closed: the last round that closed, out of `rounds`.
    """
    if status is None:
        return _recorded(closed, rounds)
    state = _asked(_phase(status), status, wish)
    if status.phase == "running" and closed >= rounds:
        state = State("good", "Running", "All rounds have closed; the end is saved and measured.")
    return state if alive or status.phase in ENDED else _gone(state, status.phase, closed)


def _recorded(closed: int, rounds: int) -> State:
    if closed >= rounds:
        return State("done", "Finished", "All rounds have closed, by the record of rounds.")
    if not closed:
        return State("idle", "Not started", "No round has closed yet, and the run says no more.")
    return State("idle", "Recorded", "The run keeps no status; this is its record of rounds.")


def _gone(state: State, phase: str, closed: int) -> State:
    return State(
        "bad",
        "Process not seen",
        f"The run says {phase!r}, but its process is not to be seen from here: it has ended, or it "
        f"runs in another container. If it has ended, resume goes on after round {closed}.",
        state.can,
    )


def _phase(status: Status) -> State:
    why = _sentence(status.why)
    goes_on = "The checkpoint is kept: a start with resume goes on from there."
    states = {
        "roll call": State(
            "wait", "Roll call", "Rounds begin when enough sites have answered.", ("pause", "stop")
        ),
        "running": State("good", "Running", "Rounds close as sites answer.", ("pause", "stop")),
        "paused": State(
            "wait", "Paused", f"{why} No site is asked until it is resumed.", ("run", "stop")
        ),
        "below quorum": State("bad", "Below quorum", f"{why} Nothing is lost. {goes_on}"),
        "stopped": State("idle", "Stopped", f"{why} {goes_on}"),
        "finished": State("done", "Finished", f"All rounds have closed. {why}"),
        "failed": State("bad", "Failed", f"{why} {goes_on}"),
    }
    state = states.get(status.phase, State("idle", "Unknown", f"The run says {status.phase!r}."))
    return state._replace(sentence=state.sentence.strip())


def _asked(state: State, status: Status, wish: Wish) -> State:
    """Return the state with what has been asked for and is still to come."""
    if status.phase in ("running", "roll call") and wish == "pause":
        later = " It is to pause: the present round ends first."
        return state._replace(sentence=state.sentence + later, can=("run", "stop"))
    if not state.can or wish != "stop":
        return state
    later = " It is to stop: the present round ends first."
    return state._replace(sentence=state.sentence + later, can=("run",))


def _sentence(why: str) -> str:
    if not why:
        return ""
    text = why[0].upper() + why[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
