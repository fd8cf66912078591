"""Fed-Heart: four hospitals that all took part, each judged on patients that it kept back.

The benchmark's filter and split (du Terrail et al., "FLamby", NeurIPS 2022, arXiv 2210.04620):
`slope`, `ca` and `thal` are dropped, then patients with a missing entry; a stratified third of each
hospital's patients, drawn by scikit-learn with random state 43, is the test.

    python -m simulation.fed_heart --data DIR

Here the support is all of a hospital's training patients, on whom the starts were trained too. The
gate is learned in the same situation: from starts trained on four fifths of every hospital's
training patients, each hospital adapting on its four fifths, judged on its last, three times over.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from client.table import patients_by_site
from common.algorithms.base import find_algorithm
from common.episodes import Task
from common.metrics import areas
from common.patients import Patients, tasks_of
from common.personal.candidates import panel
from common.personal.gate import mix
from common.personal.learning import Judged, learn
from common.personal.logistic import local_logistic
from common.personal.starts import Start
from common.randomness import generator
from common.study import Study, StudySite
from simulation.datasets import uci_heart
from simulation.training import train_in_memory

DROPPED = ("slope", "ca", "thal")
TEST_SHARE, STATE = 1 - 0.66, 43
PARTS, REPEATS, KEY = 5, 1, 100
"""KEY stands for "all of them" among the gate's numbers of patients."""
SEEDS = 5
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Hospital:
    """A hospital's task, and which of its rows train and which test."""

    task: Task
    train: Rows
    test: Rows


def load(data: Path) -> tuple[Study, dict[str, Hospital]]:
    """Return the study without the dropped features, and the hospitals.

    Raises:
        TableError: a file is missing or is another one.
    """
    features = tuple(f for f in uci_heart.STUDY.features if f.name not in DROPPED)
    study = uci_heart.STUDY.model_copy(update={"features": features})
    frame = uci_heart.read(data)
    needed = [column for column in uci_heart.COLUMNS if column not in DROPPED]
    frame = frame[frame[needed].notna().all(axis=1)]
    patients = patients_by_site(frame, study, where=str(data))
    return study, {site: _divided(own, study) for site, own in patients.items()}


def _divided(patients: Patients, study: Study) -> Hospital:
    (task,) = tasks_of(patients, study, [study.tasks[0].name], min_per_class=1)
    enough = np.bincount(task.y, minlength=2).min() > 2
    train, test = train_test_split(
        np.arange(len(task.y)),
        test_size=TEST_SHARE,
        train_size=1 - TEST_SHARE,
        random_state=STATE,
        stratify=task.y if enough else None,
    )
    return Hospital(task, np.sort(train), np.sort(test))


def predictions(
    study: Study, hospitals: Mapping[str, Hospital], seed: int
) -> dict[str, dict[str, Floats]]:
    """Return each arm's probabilities of every hospital's test patients."""
    judged = []
    for rest, held in _folds(hospitals, seed):
        starts = _starts(study, hospitals, rest, seed)
        judged += [
            _judged(starts, hospitals[site].task, rest[site], rows) for site, rows in held.items()
        ]
    gate = learn({KEY: [task for task in judged if len(np.unique(task.y)) == 2]}, seed=seed)
    starts = _starts(study, hospitals, {site: h.train for site, h in hospitals.items()}, seed)
    found: dict[str, dict[str, Floats]] = {}
    for site, hospital in hospitals.items():
        own = _judged(starts, hospital.task, hospital.train, hospital.test)
        mixed = mix(gate.at[KEY], own.panel, own.support_y.float())
        arms = {"gated": mixed.logits[0].double().sigmoid().numpy()}
        for candidate, logits in zip(own.panel.candidates, own.panel.logits, strict=True):
            arms[candidate.name] = logits[0].double().sigmoid().numpy()
        x, y = hospital.task.x, hospital.task.y
        rows = (x[hospital.train][None], y[hospital.train][None], x[hospital.test])
        arms["local-logistic"] = local_logistic(*map(torch.from_numpy, rows))[0]
        for arm, p in arms.items():
            found.setdefault(arm, {})[site] = p
    return found


def _folds(
    hospitals: Mapping[str, Hospital], seed: int
) -> Iterator[tuple[dict[str, Rows], dict[str, Rows]]]:
    """Yield training rows without a part of each hospital's, and that part."""
    for repeat in range(REPEATS):
        orders = {
            site: generator(seed, "fed-heart", site, repeat).permutation(h.train)
            for site, h in hospitals.items()
        }
        for part in range(PARTS):
            held = {site: np.sort(order[part::PARTS]) for site, order in orders.items()}
            yield {s: np.setdiff1d(orders[s], rows) for s, rows in held.items()}, held


def _starts(
    study: Study, hospitals: Mapping[str, Hospital], rows: Mapping[str, Rows], seed: int
) -> list[Start]:
    tasks = {site: [_cut(hospitals[site].task, own)] for site, own in rows.items()}
    sites = tuple(StudySite(name=site) for site in tasks)
    starts = []
    for name in ("maml", "fedavg"):
        usual = find_algorithm(name)
        outer = {"optimizer": usual.optimizer, "meta_lr": usual.meta_lr}
        server = study.server.model_copy(update=outer)
        algorithm = study.algorithm.model_copy(update={"name": name})
        own = study.model_copy(update={"sites": sites, "server": server, "algorithm": algorithm})
        starts.append(Start(name, *train_in_memory(own, tasks, seed)))
    return starts


def _cut(task: Task, rows: Rows) -> Task:
    return replace(task, x=task.x[rows], y=task.y[rows], patient=task.patient[rows])


def _judged(starts: Sequence[Start], task: Task, support: Rows, others: Rows) -> Judged:
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    return Judged(
        panel(starts, x[support][None], y[support][None], x[others]), y[support][None], y[others]
    )


def summary(
    hospitals: Mapping[str, Hospital], probabilities: Mapping[str, Floats]
) -> dict[str, float]:
    """Return four figures: within hospitals the mean over them, pooled over all their patients.

    Accuracy is of all hospitals, AUROC of those with more than one negative test patient.
    """
    y = {site: h.task.y[h.test] for site, h in hospitals.items()}
    p = {site: probabilities[site] for site in y}
    within = [areas(y[s], p[s][None])[0] for s in y if (y[s] == 0).sum() > 1 and y[s].any()]
    every, all_p = np.concatenate(list(y.values())), np.concatenate(list(p.values()))
    return {
        "accuracy": float(np.mean([((p[s] > 0.5) == y[s]).mean() for s in y])),
        "AUROC within": float(np.mean(within)),
        "AUROC pooled": float(areas(every, all_p[None])[0]),
        "Brier pooled": float(((all_p - every) ** 2).mean()),
    }


def main(arguments: Sequence[str]) -> None:
    """Print the mean over seeds of every arm's figures, and the gate's range."""
    parser = argparse.ArgumentParser(description="Fed-Heart through the gate.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    study, hospitals = load(given.data)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(given.seeds):
        for arm, p in predictions(study, hospitals, seed).items():
            found.setdefault(arm, []).append(summary(hospitals, p))
    names = list(found["gated"][0])
    sys.stdout.write(f"{'arm':20s}" + "".join(f"{name:>22s}" for name in names) + "\n")
    for arm, values in found.items():
        cells = (_cell([one[name] for one in values]) for name in names)
        sys.stdout.write(f"{arm:20s}" + "".join(f"{cell:>22s}" for cell in cells) + "\n")


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main(sys.argv[1:])
