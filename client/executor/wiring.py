"""What the executor is put together from at a hospital: the app, its node config, the approvals."""

from contextlib import suppress
from pathlib import Path

from client.executor.executor import App, Value


def app() -> App:
    """Return the installed app; a received bundle has no say in it."""
    from client.app import app

    return app


def kinds() -> frozenset[str]:
    """Return the message types that the app knows."""
    from client.app import app
    from client.executor.flower import kinds_of

    return kinds_of(app)


def node_config(folder: Path) -> dict[str, Value]:
    """Return all that the app is told of this hospital."""
    return {"node": str(folder)}


def approved_bundles(folder: Path) -> frozenset[str]:
    """Return the SHA-256 of the approved bundles, read anew: a withdrawn one is refused at once."""
    from client.gate.gate import approved_bundles

    return approved_bundles(folder)


def warm(folder: Path) -> None:
    """Compute a round of every approved study offline, so that the first real one finds all ready.

    Nothing is sent, paid or kept; what fails here fails again, with its reason, when it is asked.
    """
    from client.dry.rehearsal import rehearse_update
    from client.gate.approvals import approved_studies
    from client.gate.gate import admit
    from client.hospital import open_hospital
    from common.errors import WardroundError

    for study in approved_studies(open_hospital(folder).state):
        with suppress(WardroundError):
            rehearse_update(admit(folder, study))


def note_refusal(folder: Path, kind: str, run: int, code: str) -> None:
    """Write down in the audit log what was refused before the app's own door saw it."""
    from client.gate.audit import REFUSED, open_audit
    from client.site_file import STATE

    about = {"message": kind, "run": str(run), "study": "", "code": code, "reason": code}
    open_audit(folder / STATE).note(REFUSED, about)
