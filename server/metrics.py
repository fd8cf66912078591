"""After the last round: what the sites' votes say of the model, in metrics.json of the run folder.

The file is replaced after every ballot. A run that is started again asks only for what it lacks,
and the sites send again what they have sent, so that nothing is paid for twice.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from common.errors import PrivacyError, QuorumNotReached
from common.files import write_atomically
from common.messages.votes import IMPLAUSIBLE
from common.metrics import Estimate
from common.privacy.ballots import Ballot, ballots_of
from common.privacy.histogram_metrics import Evaluation, evaluate
from common.privacy.histograms import BINS
from common.study import Study
from server.state import ServerState
from server.votes import AskVotes, Tally, fewest

log = logging.getLogger("wardround.server")

METRICS_FILE = "metrics.json"
NOTE = (
    "Scores of the shared model as it is, without adaptation to a hospital. The patients that were "
    "scored may have taken part in training: on new patients the model may be worse. Every count "
    "carries noise; each number stands beside its standard error. Scores are known to a tenth: of "
    "two patients within the same tenth AUROC does not know which is higher."
)


def measure(study: Study, state: ServerState, ask: AskVotes, folder: Path) -> dict[str, Any]:
    """Ask for the votes that the study plans, write METRICS_FILE, and return what it holds.

    What cannot be had is listed as missing with the reason, and no later ballot is asked for before
    it: a masked site goes forward only. Nothing is raised for a site's fault.
    """
    path, ballots = folder / METRICS_FILE, ballots_of(study)
    about = _head(study, state, ballots.refused)
    about["tasks"] = _kept(path, about)
    for ballot in ballots.planned:
        if ballot.task in about["tasks"]:
            continue
        try:
            tally = _tally(study, state, ask, ballot)
            about["tasks"][ballot.task] = _described(study, ballot, tally)
        except (QuorumNotReached, PrivacyError) as error:
            log.error("no metrics of %s: %s", ballot.task, error)
            about["missing"][ballot.task] = error.what
            break
        _say(ballot.task, about["tasks"][ballot.task])
        write_atomically(path, _text(about))
    for ballot in ballots.planned:
        if ballot.task not in about["tasks"]:
            about["missing"].setdefault(ballot.task, "not asked for: an earlier one is missing")
    write_atomically(path, _text(about))
    return about


def _head(study: Study, state: ServerState, refused: Any) -> dict[str, Any]:
    meta = state.meta.numpy().astype("<f4").tobytes()
    return {
        "schema": 1,
        "study": study.id,
        "round": state.round_index,
        "theta_sha256": hashlib.sha256(meta).hexdigest(),
        "note": NOTE,
        "std": study.evaluation.metric_std,
        "tasks": {},
        "missing": {},
        "refused": dict(refused),
    }


def _kept(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Return the tasks that an earlier start of this run has measured, for the very same theta."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = all(found[key] == about[key] for key in ("schema", "study", "round", "theta_sha256"))
        return dict(found["tasks"]) if same else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s is damaged and is made anew", path)
        return {}


def _tally(study: Study, state: ServerState, ask: AskVotes, ballot: Ballot) -> Tally:
    """Return the votes of enough sites.

    Raises:
        QuorumNotReached: in none of the attempts did enough sites vote, or their sum is a lie.
    """
    least = fewest(study, ballot)
    for _ in range(study.server.attempts):
        tally = ask(state, ballot)
        if len(tally.sites) >= least:
            return tally
        if not tally.sites and IMPLAUSIBLE in tally.dropped.values():
            break  # a masked sum that cannot be true: asked again, every site would pay again
    raise QuorumNotReached(
        f"{len(tally.sites)} of {len(ballot.declared)} sites voted, {least} are needed; "
        f"the others: {', '.join(sorted(set(tally.dropped.values())))}",
        where=f"votes on {ballot.task}",
        remedy="the initialization is saved; mend the cause, then resume",
    )


def _described(study: Study, ballot: Ballot, tally: Tally) -> dict[str, Any]:
    declared = [ballot.declared[site] for site in tally.sites]
    counts = tally.total.reshape(2, BINS)
    found = evaluate(counts, std=study.evaluation.metric_std, declared=declared)
    return {
        "release": ballot.release,
        "sites": list(tally.sites),
        "dropped": dict(tally.dropped),
        "declared": {site: list(ballot.declared[site]) for site in tally.sites},
        "counts": counts.tolist(),
        "informative": found.informative,
        **_estimated(found),
    }


def _estimated(found: Evaluation) -> dict[str, Any]:
    return {
        "estimates": {name: _numbers(one) for name, one in found.estimates.items()},
        "calibration": [{"score": p.score, **_numbers(p.observed)} for p in found.curve],
    }


def _numbers(one: Estimate) -> dict[str, float]:
    return {"value": one.mean, "standard_error": one.error}


def _say(task: str, found: dict[str, Any]) -> None:
    numbers = ", ".join(
        f"{name} {one['value']:.3f} (standard error {one['standard_error']:.3f})"
        for name, one in found["estimates"].items()
    )
    worth = "" if found["informative"] else "; too few patients for this noise to be informative"
    words = numbers or "lost in the noise"
    log.info("metrics of %s at %d sites: %s%s", task, len(found["sites"]), words, worth)


def _text(about: dict[str, Any]) -> bytes:
    return json.dumps(about, indent=1).encode()
