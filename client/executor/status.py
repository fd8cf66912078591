"""state/status.json: how the node is, for `wardround node status` and for nobody outside."""

import json
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from client.executor.codes import OTHER
from client.executor.place import EXECUTOR, PARTS, SUPERNODE, runs
from client.site_file import STATE
from common.files import write_atomically

SCHEMA, MAX_CODES = 1, 64
STALE_S, CONTACT_S, WRITTEN_S = 30.0, 75.0, 5.0


@dataclass
class Status:
    """What a running service knows of itself; times are seconds since 1970, 0 is never.

    contact: the last call to the coordinator that went well. trouble: the code of the last that did
    not, empty once one goes well. refused: counts by code. ready: the executor waits for requests.
    """

    pid: int
    parts: tuple[str, ...]
    since: float
    written: float = 0.0
    contact: float = 0.0
    trouble: str = ""
    ready: bool = False
    answered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    last_round: str = ""
    last_request: float = 0.0
    last_error: str = ""
    starts: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def connected(self, now: float) -> bool:
        """Return whether the coordinator was reached lately and the last call went well."""
        return not self.trouble and now - self.contact < CONTACT_S

    def write(self, path: Path, now: float) -> None:
        """Write the file, so that a reader finds the old one or the new."""
        self.written = now
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True)
        write_atomically(path, text.encode())


def count(counts: dict[str, int], code: str) -> None:
    """Count a code; beyond some number of different ones they are one."""
    name = code if code in counts or len(counts) < MAX_CODES else OTHER
    counts[name] = counts.get(name, 0) + 1


def status_file(state: Path, parts: tuple[str, ...]) -> Path:
    """Return where a service of these parts writes; the SuperNode alone, in its own folder."""
    return state / ("status.json" if EXECUTOR in parts else f"{SUPERNODE}/status.json")


def versions() -> dict[str, str]:
    """Return the versions that matter when two hospitals differ."""
    found = {}
    for name in ("wardround", "flwr", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def summary(
    folder: Path, now: float | None = None, *, wanted: tuple[str, ...] = PARTS
) -> dict[str, Any]:
    """Return what is known of the node in a folder; state: connected, not connected, not running.

    Where SuperNode and executor run apart, both are put together. wanted: the parts that are looked
    at; an executor alone counts as connected once it waits for requests.
    """
    now = time.time() if now is None else now
    state = folder / STATE
    found = [_read(status_file(state, parts), now) for parts in ((EXECUTOR,), (SUPERNODE,))]
    told = {part: each for each in found if each for part in each["parts"] if runs(state, part)}
    about = {
        "schema": SCHEMA,
        "state": "not running",
        "missing": [p for p in wanted if p not in told],
    }
    if told:
        network = told.get(SUPERNODE, {})
        about |= told.get(EXECUTOR, network) | {
            name: network.get(name, 0) for name in ("contact", "trouble")
        }
    if not about["missing"]:
        up = all(_is_up(part, told[part], now) for part in wanted)
        about["state"] = "connected" if up else "not connected"
    return about


def _is_up(part: str, about: dict[str, Any], now: float) -> bool:
    return bool(about["ready"]) if part == EXECUTOR else _status(about).connected(now)


def _read(path: Path, now: float) -> dict[str, Any] | None:
    """Return the file's content, unless it is missing, damaged or stale."""
    try:
        about = json.loads(path.read_bytes())
        return about if now - about["written"] < STALE_S and about["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _status(about: dict[str, Any]) -> Status:
    return Status(**{key: value for key, value in about.items() if key != "schema"})


def in_words(about: dict[str, Any], now: float | None = None) -> str:
    """Return the summary for a person."""
    now = time.time() if now is None else now
    lines = [f"The node is {about['state']}."]
    if "since" not in about:
        return "\n".join([*lines, "`wardround node start --folder DIR` starts it."])
    if missing := about["missing"]:
        lines.append(f"Not running: {', '.join(missing)}.")
    lines.append(f"Up for {_span(now - about['since'])}, pid {about['pid']}.")
    last = _span(now - about["contact"]) + " ago" if about["contact"] else "never"
    lines.append(f"Last contact with the coordinator: {last}.")
    if about["trouble"]:
        lines.append(f"What is wrong there: {about['trouble']} (docs/node-service.md).")
    lines.append(f"Requests answered: {about['answered']}{_counted(about['refused'], 'refused')}.")
    if about["dropped"]:
        lines.append(f"Requests lost{_counted(about['dropped'], 'dropped')}.")
    if about["last_request"]:
        named = f" (round {about['last_round']})" if about["last_round"] else ""
        lines.append(f"Last request: {_span(now - about['last_request'])} ago{named}.")
    if about["last_error"]:
        lines.append(f"Last reason for a refusal: {about['last_error']}.")
    told = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return "\n".join([*lines, f"Versions: {told}."])


def _counted(codes: dict[str, int], word: str) -> str:
    total = sum(codes.values())
    listed = ", ".join(f"{code} {number}" for code, number in sorted(codes.items()))
    return f", {word} {total} ({listed})" if total else f", {word} 0"


def _span(seconds: float) -> str:
    seconds = max(int(seconds), 0)
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
