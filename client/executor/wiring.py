"""What the executor is put together from at a hospital: the app, its node config, the approvals."""

from pathlib import Path

from client.executor.executor import App, Value


def app() -> App:
    """Return the installed app; a received bundle has no say in it."""
    from client.app import app

    return app


def kinds() -> frozenset[str]:
    """Return the message types that the app knows."""
    from common.messages import HELLO_TYPE, UPDATE_TYPE
    from common.messages.masked import (
        ADVERTISE_TYPE,
        CONFIRM_TYPE,
        DEAL_TYPE,
        INPUT_TYPE,
        REVEAL_TYPE,
    )

    masked = {ADVERTISE_TYPE, DEAL_TYPE, INPUT_TYPE, CONFIRM_TYPE, REVEAL_TYPE}
    return frozenset({HELLO_TYPE, UPDATE_TYPE} | masked)


def node_config(folder: Path) -> dict[str, Value]:
    """Return all that the app is told of this hospital."""
    return {"node": str(folder)}


def approved_bundles(folder: Path) -> frozenset[str]:
    """Return the SHA-256 of the approved bundles, read anew: a withdrawn one is refused at once."""
    from client.gate.gate import approved_bundles

    return approved_bundles(folder)


def note_refusal(folder: Path, kind: str, run: int, code: str) -> None:
    """Write down in the audit log what was refused before the app's own door saw it."""
    from client.gate.audit import REFUSED, open_audit
    from client.site_file import STATE

    about = {"message": kind, "run": str(run), "study": "", "code": code, "reason": code}
    open_audit(folder / STATE).note(REFUSED, about)
