"""Sinusoid regression, the first experiment of the MAML paper: a check on the core as a whole.

Finn, Abbeel, Levine: "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
ICML 2017, arXiv 1703.03400, section 5.1. A task is y = A sin(x - b), A in U[0.1, 5], b in U[0, pi],
x in U[-5, 5]; support 10 points, net 1-40-40-1 with ReLU, inner rate 0.01. Trained with 1 inner
step, query 10 points, meta-batch 25, Adam at 0.001; their code runs 70,000 rounds, we 10,000.

    python -m simulation.sinusoid --iterations 10000 --seed 0
"""

import argparse
import sys

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.func import vmap

from common.adaptation import adapt, constant_rates
from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.episodes import Episode, Rows
from common.models import initialize, squared_error, weighted_loss
from common.optimizers import initial_state, optimizer_step
from common.parameters import Params, flatten, unflatten
from common.randomness import generator

SHOTS, META_BATCH, INNER_LR, META_LR = 10, 25, 0.01, 0.001
TEST_TASKS, TEST_QUERY, TEST_STEPS = 1000, 100, (0, 1, 5, 10)


def build() -> nn.Module:
    """Return the paper's net, 1-40-40-1 with ReLU."""
    return nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )


def draw_tasks(rng: np.random.Generator, tasks: int, query: int) -> Episode:
    """Return one episode of each of `tasks` new sinusoids, x and y [tasks, points, 1]."""
    amplitude = rng.uniform(0.1, 5.0, size=(tasks, 1, 1))
    phase = rng.uniform(0.0, np.pi, size=(tasks, 1, 1))
    x = rng.uniform(-5.0, 5.0, size=(tasks, SHOTS + query, 1))
    y = amplitude * np.sin(x - phase)
    rows = (torch.from_numpy(x).float(), torch.from_numpy(y).float(), torch.ones(x.shape[:2]))
    return Episode(Rows(*(r[:, :SHOTS] for r in rows)), Rows(*(r[:, SHOTS:] for r in rows)))


def train(iterations: int, seed: int, *, quiet: bool = False) -> Params:
    """Return theta after so many rounds of MAML with Adam as the server optimizer."""
    model, theta = initialize(build, seed)
    loss = weighted_loss(model, squared_error)
    vector = flatten(theta)
    state = initial_state("adam", vector)
    settings = InnerSettings(inner_lr=INNER_LR, inner_steps=1)
    rounds = track(range(iterations), "meta-training", console=Console(stderr=True), disable=quiet)
    for i in rounds:
        episodes = draw_tasks(generator("sinusoid", seed, "train", i), META_BATCH, SHOTS)
        gradient = flatten(update(MAML, loss, unflatten(vector, theta), episodes, settings))
        vector, state = optimizer_step("adam", vector, gradient, state, lr=META_LR)
    return unflatten(vector, theta)


def evaluate(theta: Params, seed: int) -> dict[int, Tensor]:
    """Return the mean squared error of each test task [TEST_TASKS], by number of inner steps."""
    loss = weighted_loss(build(), squared_error)
    rates = constant_rates(theta, INNER_LR)

    def error(episode: Episode, steps: int) -> Tensor:
        return loss(adapt(loss, theta, episode.support, rates, steps=steps), *episode.query)

    tasks = draw_tasks(generator("sinusoid", seed, "test"), TEST_TASKS, TEST_QUERY)
    return {k: vmap(lambda e, k=k: error(e, k))(tasks) for k in TEST_STEPS}


def table(errors: dict[int, Tensor]) -> str:
    """Return a Markdown table: mean over tasks +- 1.96 standard errors."""
    lines = ["| inner steps | mean squared error | 95 % interval |", "|---|---|---|"]
    for steps, error in errors.items():
        mean, half = float(error.mean()), 1.96 * float(error.std()) / len(error) ** 0.5
        lines.append(f"| {steps} | {mean:.3f} | {mean - half:.3f} to {mean + half:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, evaluate and write the table."""
    parser = argparse.ArgumentParser(description="Sinusoid regression (Finn et al. 2017)")
    parser.add_argument("--iterations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    theta = train(arguments.iterations, arguments.seed)
    sys.stdout.write(table(evaluate(theta, arguments.seed)))


if __name__ == "__main__":
    main()
