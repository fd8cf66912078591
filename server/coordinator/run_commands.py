"""`wardround coordinator start`, `run`, `status`, `pause`, `resume`, `stop`.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from server.control import Status
    from server.coordinator.folder import CoordinatorFolder

Folder = Annotated[Path, typer.Option(help="The coordinator's folder (coordinator init).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def start(*, folder: Folder = Path()) -> None:
    """Run the coordinator's processes in the foreground, until Ctrl-C or SIGTERM."""
    from server.coordinator.folder import open_folder
    from server.coordinator.start import serve

    opened = open_folder(folder)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.stderr.write(f"Edge https://{opened.settings.address}; Ctrl-C ends it.\n")
    serve(opened)


def run(
    *,
    folder: Folder = Path(),
    seed: Annotated[
        int | None,
        typer.Option(help="Of the first initialization and the cohorts; else the run's own, or 0."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
) -> None:
    """Run the study, or go on with it, and tell each round as it closes."""
    from server.coordinator.folder import open_folder
    from server.coordinator.running import start_run

    opened = open_folder(folder)
    place = start_run(opened, seed=seed)
    _print(f"Study {place.study.name} runs; its folder is {place.path}")
    if not detach:
        _follow(opened)


def resume(
    *,
    folder: Folder = Path(),
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
) -> None:
    """Let a paused run go on, or one that has ended before its last round."""
    from server.coordinator.folder import open_folder
    from server.coordinator.running import resume as go_on

    opened = open_folder(folder)
    place = go_on(opened)
    _print(f"Study {place.study.name} goes on.")
    if not detach:
        _follow(opened)


def pause(*, folder: Folder = Path()) -> None:
    """Have the run wait after its present round, until it is resumed."""
    _wish(folder, "pause")


def stop(*, folder: Folder = Path()) -> None:
    """Have the run end after its present round; what it has learned is kept."""
    _wish(folder, "stop")


def status(*, folder: Folder = Path(), as_json: Json = False) -> None:
    """Say how the run stands, and who takes part; exit code 0 unless it has failed."""
    from server.control import read_status
    from server.coordinator.attempts import attempts
    from server.coordinator.folder import open_folder
    from server.coordinator.running import place_of
    from server.coordinator.start import runs

    opened = open_folder(folder)
    place = place_of(opened)
    found = read_status(place.path) if place.path.exists() else None
    last = [record for _, record in attempts(place.path)][-1:]
    about = {
        "schema": 1,
        "study": place.study.id,
        "processes": runs(opened.path),
        "status": found._asdict() | {"alive": found.alive} if found else None,
        "last": last[0] if last else None,
    }
    if as_json:
        _print(json.dumps(about))
    else:
        _print(f"Study {place.study.name} ({place.study.id[:12]}), folder {place.path}")
        _print(f"Processes  {'run' if about['processes'] else 'do not run'}")
        _print(f"Run        {_words(found)}")
        for record in last:
            _print(_line(record))
    if found and found.phase in ("failed", "below quorum"):
        raise typer.Exit(1)


def _wish(folder: Path, wanted: Any) -> None:
    from server.coordinator.folder import open_folder
    from server.coordinator.running import place_of, wish

    place = place_of(open_folder(folder))
    wish(place, wanted)
    _print(f"Study {place.study.name}: {wanted} after the present round.")


def _follow(folder: "CoordinatorFolder") -> None:
    """Tell rounds until the end; only a run whose every round closed is a success."""
    from server.coordinator.following import run_to_end

    try:
        end = run_to_end(folder, lambda record: _print(_line(record)))
    except KeyboardInterrupt:
        sys.stderr.write("The run goes on; wardround coordinator status shows it.\n")
        raise typer.Exit(130) from None
    _print(f"Run {_words(end)}")
    if end is None or end.phase != "finished":
        raise typer.Exit(1)


def _line(record: dict[str, Any]) -> str:
    taken, dropped = record["accepted"], record["dropped"]
    what = "closed" if record["closed"] else f"attempt {record['attempt']} without quorum"
    left = "".join(f"; {site}: {why}" for site, why in sorted(dropped.items()))
    head = f"round {record['round_index']:>4}  {what}"
    return f"{head}, {record['seconds']:.1f} s, {len(taken)} sites{left}"


def _words(status: "Status | None") -> str:
    if status is None:
        return "has not begun"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(status.updated))
    over = status.alive or status.phase in ("finished", "stopped")
    gone = "" if over else "; its process is gone"
    why = f" ({status.why})" if status.why else ""
    return f"{status.phase}{why}, {status.round_index} of {status.rounds} rounds, {when}Z{gone}"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
