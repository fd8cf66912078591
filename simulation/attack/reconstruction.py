"""Patients out of one task's update: closed-form reconstruction from what a coordinator sees.

The idea is SPEAR's (simulation/attack/columns.py). Patients are put together from r candidate
columns and judged by what the attacker knows of tables, as Vero, Balunovic, Dimitrov, Vechev,
"TabLeak: Tabular Data Leakage in Federated Learning", ICML 2023, arXiv 2210.01785, do: codes are
whole numbers, values are not absurd.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.drawing import draw_episodes
from common.episodes import Episode
from common.learner import Learner, make_learner
from common.parameters import Params, flatten, unflatten
from common.randomness import generator, stream
from common.study import Study, TaskRule
from common.study_sections import AlgorithmSettings, EpisodeSettings, Profile
from simulation.attack.columns import Floats, find_columns
from simulation.attack.patients import FEATURES, draw_patients, plausible, rows_found
from simulation.attack.protection import seen

ALGORITHMS = ("maml", "fomaml", "reptile")
SUPPORT, QUERY = 5, 5
SILENT = 1e-9
"""Rows of the gradient below this share of the largest belong to neurons that never fire."""
STARTS, SWEEPS, POOL = 12, 3, 120
APART, INDEPENDENT = 0.3, 0.03
"""Patients differ by at least so much in one input; columns by so small a singular value."""
RIDGE = 1e-9  # keeps a system solvable in which a column stands twice
WHOLE_ROW = 50.0  # what a whole patient is worth beside one attribute that is plausible


class Guess(NamedTuple):
    """Patients [r, 13] that explain the gradient, which of them are plausible, and their score."""

    patients: Floats
    whole: np.typing.NDArray[np.bool_]
    score: float


def attack_once(algorithm: str, profile: Profile, seed: int) -> tuple[int, int]:
    """Return how many patients of one generated task were found, and of how many."""
    learner = make_learner(_study(algorithm), seed=seed)
    task = draw_patients(generator(seed, "patients"), SUPPORT + QUERY)
    episodes = draw_episodes([task], learner.plan, stream(seed, "episodes"))
    update = learner.update(flatten(learner.initial), episodes, round_index=1)
    observed = seen(update[None], profile, generator(seed, "noise"))
    truth = _used(algorithm, episodes)
    found = reconstruct(observed, learner, len(truth), generator(seed, "attack"))
    return rows_found(found, truth), len(truth)


def reconstruct(observed: Tensor, learner: Learner, rows: int, rng: np.random.Generator) -> Floats:
    """Return guesses [rows, 13] at the patients behind an observed update [d]."""
    gradient = unflatten(observed, learner.initial)
    layer = torch.cat([gradient["0.weight"], gradient["0.bias"][:, None]], dim=1).double().numpy()
    size = np.linalg.norm(layer, axis=1)
    fires = size > SILENT * size.max()
    scale = size[fires]
    left, values, right = np.linalg.svd(layer[fires] / scale[:, None], full_matrices=False)
    basis, span = left[:, :rows], values[:rows, None] * right[:rows]
    columns = find_columns(basis, scale, _signal(learner.initial)[fires], rng)
    return _assemble(columns.best(POOL), span, rng).patients


def _study(algorithm: str) -> Study:
    return Study(
        name="reconstruction",
        features=FEATURES,
        tasks=(TaskRule(name="generated", column="diagnosis"),),
        algorithm=AlgorithmSettings(name=algorithm, inner_lr=0.1, inner_steps=1),
        episodes=EpisodeSettings(support=SUPPORT, query=QUERY, meta_batch=1),
    )


def _used(algorithm: str, episodes: Episode) -> Floats:
    """Return the patients [r, 13] on whom the update depends through the first layer."""
    sides = [episodes.query.x] if algorithm == "fomaml" else [part.x for part in episodes]
    rows: Floats = torch.cat(sides, dim=1)[0].double().numpy()
    return rows


def _signal(theta: Params) -> Floats:
    """Return the signal [H] of a patient: of two logits, one vector up to scale.

    It is that of a gradient at theta; FOMAML's is taken at phi, where it is nearly the same.
    """
    weight = theta["2.weight"].double().numpy()
    signal: Floats = weight[0] - weight[1]
    return signal


def _assemble(pool: Floats, span: Floats, rng: np.random.Generator) -> Guess:
    """Return the best guess from several starts, each improved by exchanging single columns.

    pool: columns [c, r]; span: Q^T M [r, 14].
    """
    best = _judge(np.eye(len(span)), span)
    for start in range(STARTS if len(pool) else 0):
        order = np.arange(len(pool)) if start == 0 else rng.permutation(len(pool))
        chosen = _independent(pool[order], rng)
        best = max(best, _improve(chosen, pool, span), key=lambda guess: guess.score)
        if best.whole.all():
            break
    return best


def _independent(v: Floats, rng: np.random.Generator) -> Floats:
    """Return the first r of v [c, r] that are independent, filled up at random if they are less."""
    r = v.shape[1]
    chosen: list[Floats] = []
    for one in v:
        if np.linalg.svd([*chosen, one], compute_uv=False)[-1] > INDEPENDENT:
            chosen.append(one)
        if len(chosen) == r:
            break
    return np.array(chosen + list(rng.standard_normal((r - len(chosen), r))))


def _improve(chosen: Floats, pool: Floats, span: Floats) -> Guess:
    """Return the guess after exchanging one of the chosen columns for one of the pool, in turn."""
    best = _judge(chosen, span)
    for _ in range(SWEEPS):
        before = best.score
        for place in range(len(chosen)):
            trials = np.repeat(chosen[None], len(pool), axis=0)
            trials[:, place] = pool
            _, _, scores = _judge_all(trials, span)
            if scores.max() > best.score:
                chosen = trials[scores.argmax()]
                best = _judge(chosen, span)
        if best.whole.all() or best.score == before:
            break
    return best


def _judge(chosen: Floats, span: Floats) -> Guess:
    patients, whole, scores = _judge_all(chosen[None], span)
    return Guess(patients[0], whole[0], float(scores[0]))


def _judge_all(chosen: Floats, span: Floats) -> tuple[Floats, np.typing.NDArray[np.bool_], Floats]:
    """Return patients [t, r, 13], which are whole and unlike the others [t, r], and scores [t].

    With Delta = Q V and M = Delta X, X = V^-1 Q^T M; an X has 1 as its last entry, the bias' input.
    """
    system = np.swapaxes(chosen, -1, -2) + RIDGE * np.eye(len(span))
    scaled = np.linalg.solve(system, np.broadcast_to(span, (len(chosen), *span.shape)))
    last = scaled[..., -1:]
    patients = scaled[..., :-1] / np.where(np.abs(last) < 1e-12, 1e-12, last)
    good = plausible(patients)
    gaps = np.abs(patients[:, :, None] - patients[:, None]).max(-1)
    twin = np.tril(gaps < APART, -1).any(-1)
    whole = good.all(-1) & ~twin
    return patients, whole, WHOLE_ROW * whole.sum(-1) + good.mean(-1).sum(-1)
