"""Federated metrics beside the truth: a simulation has all virtual patients in the clear."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from common.episodes import Site
from common.metrics import estimates
from common.personal.tunable import Tunable
from server.metrics import METRICS_FILE
from simulation.judge import Trained

COMPARED = ("auroc", "brier")
"""Metrics that are the same without bins; a calibration error is one of its bins."""


def measured(trained: Trained, sites: Sequence[Site]) -> dict[str, Any] | None:
    """Return what metrics.json says, with each task's `truth`, or None if nothing was measured.

    truth: of the same patients, by their exact scores, without noise; empty where one class of them
    is not there.
    """
    path = trained.folder / METRICS_FILE
    if not path.exists():
        return None
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, found in about["tasks"].items():
        voters = [site for site in sites if site.name in found["sites"]]
        found["truth"] = _truth(trained, voters, name)
    return about


def _truth(trained: Trained, sites: Sequence[Site], name: str) -> dict[str, float]:
    tasks = [task for site in sites for task in site.tasks if task.name == name]
    y = np.concatenate([np.zeros(0, dtype=np.int64), *(task.y for task in tasks)])
    if len(set(y.tolist())) < 2:
        return {}
    x = torch.from_numpy(np.concatenate([task.x for task in tasks]))
    known = estimates(y, Tunable(trained.learner, trained.meta).zero_shot(2, x))
    return {metric: known[metric].mean for metric in COMPARED}
