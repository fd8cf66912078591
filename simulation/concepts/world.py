"""Made-up hospitals with one laboratory value, small enough to look at.

Too low a value is dangerous and so is too high a one, as with potassium. Where it is safe differs
from hospital to hospital: other patients, other machines. Meta-training is `simulation.sinusoid`'s
loop with the reference network and cross-entropy, by the functions that a hospital runs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from common.adaptation import adapt, constant_rates
from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.episodes import Episode, Rows
from common.models import initialize, perceptron, weighted_loss
from common.optimizers import initial_state, optimizer_step
from common.parameters import Params, flatten, unflatten
from common.randomness import generator

SUPPORT, QUERY, STEPS, RATE = 10, 15, 5, 0.3
HOSPITALS, ROUNDS, META_LR = 25, 1500, 0.003
ALONE_STEPS = 200
GRID = torch.linspace(-3, 3, 121)


@dataclass(frozen=True)
class Hospitals:
    """Centre of the safe range [n] and its width [n]; `mirrored`: it is the middle that harms."""

    centre: Tensor
    width: Tensor
    mirrored: bool = False

    def risk(self, x: Tensor) -> Tensor:
        """Return the share of patients with value x [n, m] who have the disease, 0.05 to 0.9."""
        away = 1 - torch.exp(-(((x - self.centre[:, None]) / self.width[:, None]) ** 2))
        return 0.05 + 0.85 * ((1 - away) if self.mirrored else away)

    def patients(self, rng: np.random.Generator, count: int) -> Rows:
        """Return `count` labelled patients of each hospital: x [n, count, 1], y [n, count]."""
        n = len(self.centre)
        x = torch.from_numpy(rng.uniform(-3, 3, size=(n, count))).float()
        y = torch.from_numpy(rng.uniform(size=(n, count))) < self.risk(x)
        return Rows(x[..., None], y.long(), torch.ones(n, count))


def draw(rng: np.random.Generator, count: int, *, mirrored: bool = False) -> Hospitals:
    """Return `count` new hospitals."""
    centre = torch.from_numpy(rng.uniform(-1.5, 1.5, size=count)).float()
    width = torch.from_numpy(rng.uniform(0.8, 1.2, size=count)).float()
    return Hospitals(centre, width, mirrored)


def untrained(seed: int) -> Params:
    """Return random parameters of the network, 1-64-2."""
    return initialize(lambda: perceptron(1), seed)[1]


def meta_train(seed: int, rounds: int = ROUNDS) -> Params:
    """Return the initialization that the hospitals have learned together."""
    theta = untrained(seed)
    loss, vector = weighted_loss(perceptron(1)), flatten(theta)
    state = initial_state("adam", vector)
    settings = InnerSettings(inner_lr=RATE, inner_steps=STEPS)
    for i in range(rounds):
        rng = generator("concepts", seed, "train", i)
        hospitals = draw(rng, HOSPITALS)
        episodes = Episode(*(hospitals.patients(rng, n) for n in (SUPPORT, QUERY)))
        gradient = flatten(update(MAML, loss, unflatten(vector, theta), episodes, settings))
        vector, state = optimizer_step("adam", vector, gradient, state, lr=META_LR)
    return unflatten(vector, theta)


def curves(theta: Params, rows: Rows, *, steps: int) -> Tensor:
    """Return the risk over GRID [n, 121] after `steps` inner steps on each hospital's rows."""
    model, rates = perceptron(1), constant_rates(theta, RATE)
    loss = weighted_loss(model)

    def one(own: Rows) -> Tensor:
        phi = adapt(loss, theta, own, rates, steps=steps)
        logits: Tensor = torch.func.functional_call(model, phi, (GRID[:, None],))
        return logits.softmax(-1)[:, 1]

    return vmap(one)(rows).detach()


def errors(start: Params, hospitals: Hospitals, rows: Rows) -> dict[str, Tensor]:
    """Return how far each way's risks are from the truth, the mean over GRID, by hospital [n]."""
    truth = hospitals.risk(GRID.expand(len(hospitals.centre), -1))
    share = rows.y.float().mean(1, keepdim=True).expand_as(truth)
    ways = {
        "share of the ill": share,
        "alone": curves(untrained(1), rows, steps=ALONE_STEPS),
        "start as it is": curves(start, rows, steps=0),
        "start, adapted": curves(start, rows, steps=STEPS),
    }
    return {way: (risks - truth).abs().mean(1) for way, risks in ways.items()}
