"""`wardround node approve`, `withdraw`, `audit`: the hospital's own word, and what came of it.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from client.gate.proposal import Proposal
    from client.lines import Line

Folder = Annotated[Path, typer.Option(help="The node's folder, with site.toml.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
ENOUGH_DIGITS = 12


def approve(
    study: Annotated[Path, typer.Argument(help="study.toml, with study.toml.sig beside it.")],
    *,
    folder: Folder = Path(),
    cohort: Annotated[str, typer.Option(help="The patients whose ledger pays for it.")] = "",
    yes: Annotated[
        str, typer.Option(help="Say yes without being asked: the study's id, 12 digits or more.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show a study in plain words, and ask whether your hospital takes part.

    STUDY is its study.toml, with the coordinator's study.toml.sig beside it.
    """
    from client.gate import proposal as gate
    from client.gate.words import sections
    from client.hospital import open_hospital

    weighed = gate.weigh(open_hospital(folder), study, cohort=cohort)
    if not as_json:
        for heading, sentences in sections(weighed):
            _print("\n".join([heading, *(f"    {one}" for one in sentences)]))
    if not weighed.objections:
        _require_yes(weighed, yes)
    approval = gate.approve(weighed, now=time.time())
    end = _day(approval.expires)
    if as_json:
        about = {"study": weighed.study.id, "epsilon": approval.epsilon, "expires": end}
        _print(json.dumps({"schema": 1, "approved": True} | about))
    else:
        _print(f"Approved until {end}. Taken back by: wardround node withdraw {weighed.study.id}")


def withdraw(
    study: Annotated[str, typer.Argument(help="The study's id, or its first 12 digits or more.")],
    *,
    folder: Folder = Path(),
) -> None:
    """Take a yes back: from now on every message of the study is refused.

    STUDY is its id, or the first 12 digits or more of it.
    """
    from client.gate.approvals import approved_studies, withdraw_approval
    from client.gate.audit import WITHDRAWN, AuditLog
    from client.hospital import open_hospital

    state = open_hospital(folder).state
    (whole,) = [one for one in approved_studies(state) if _same(one, study)] or [study]
    withdraw_approval(state, whole)
    AuditLog.open(state).note(WITHDRAWN, {"study": whole})
    _print(f"Withdrawn: study {whole}. What its ledger has reserved stays reserved.")


def audit(
    *,
    folder: Folder = Path(),
    last: Annotated[int, typer.Option(min=0, help="Show so many lines; 0 shows all.")] = 20,
    as_json: Json = False,
) -> None:
    """Verify the audit log, and show what was received, decided and sent."""
    from client.gate.audit import AuditLog
    from client.hospital import open_hospital

    log = AuditLog.open(open_hospital(folder).state)
    shown = log.lines[-last:] if last else log.lines
    if as_json:
        lines = [{"digest": line.digest} | line.record for line in shown]
        _print(json.dumps({"schema": 1, "verified": len(log.lines), "lines": lines}))
        return
    for line in shown:
        _print(_sentence(line))
    head = log.lines[-1].digest[:16] if log.lines else "none"
    _print(f"Verified: {len(log.lines)} lines, each signed and chained; head {head}.")


def _require_yes(weighed: "Proposal", yes: str) -> None:
    """Return if the person has typed the study's id.

    Raises:
        SettingsError: they have not, or another one.
    """
    from common.errors import SettingsError

    given = yes or typer.prompt(f"Type the id's first {ENOUGH_DIGITS} digits to say yes", err=True)
    if not _same(weighed.study.id, str(given)):
        raise SettingsError(
            "this is not the id of the study",
            where="approve",
            remedy="compare the id with the one that the coordinator tells you, then type it",
        )


def _same(study: str, digits: str) -> bool:
    return len(digits) >= ENOUGH_DIGITS and study.startswith(digits)


def _sentence(line: "Line") -> str:
    record: dict[str, Any] = dict(line.record)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record["time"]))
    study = str(record.get("study", ""))[:8]
    known = ("v", "seq", "prev", "time", "kind", "study", "sig", "run", "sha256")
    rest = {key: value for key, value in record.items() if key not in known and value != ""}
    digest = f" sha256 {record['sha256'][:12]}" if "sha256" in record else ""
    details = ", ".join(f"{key} {_shown(key, value)}" for key, value in rest.items())
    return f"{line.seq:>6}  {when}Z  {record['kind']:<9} {study:<8}  {details}{digest}"


def _shown(key: str, value: Any) -> Any:
    if key == "expires":
        return _day(value)
    return f"{value:.3f}" if isinstance(value, float) else value


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
