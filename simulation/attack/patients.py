"""Generated patients with the 13 attributes of UCI's heart table; no patient is real.

The distributions are rounded from what Detrano et al., American Journal of Cardiology 64:304-310,
1989, describe. An attribute is one input, so that a row of the first layer's gradient is a
combination of whole patients, and an attacker who finds a patient has all of it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from common.episodes import Task
from common.features import encode
from common.study import Feature

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

TOLERANCE = 0.05
"""How near a continuous value has to come to count as found, in standard deviations."""
FARTHEST = 4.5
"""No continuous value of a patient is taken to lie so many standard deviations from the mean."""
STRENGTH = 2.0  # of the diagnosis' one direction, in logits a standard deviation


@dataclass(frozen=True)
class Attribute:
    """A measured value: continuous with mean and standard deviation, or codes with their shares."""

    name: str
    mean: float = 0.0
    sd: float = 1.0
    codes: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def feature(self) -> Feature:
        """The attribute in a study: one input; a continuous one has standard deviation 1 there."""
        if len(self.codes) == 2:
            return Feature(name=self.name, kind="binary", may_be_missing=False)
        low, high = self.mean - 2 * self.sd, self.mean + 2 * self.sd
        usual = (self.codes[0], self.codes[-1]) if self.codes else (low, high)
        return Feature(name=self.name, usual=usual, may_be_missing=False)

    @cached_property
    def inputs(self) -> Floats:
        """What the codes are as inputs; empty for a continuous attribute."""
        codes = np.array(self.codes, dtype=float)
        return encode({self.name: codes}, [self.feature])[:, 0].astype(float)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Return n patients' values."""
        if self.codes:
            return rng.choice(np.array(self.codes, dtype=float), size=n, p=self.shares)
        return rng.normal(self.mean, self.sd, n)

    def distance(self, x: Floats) -> Floats:
        """Return how far inputs lie from the nearest that a patient can have; 1 is out of reach."""
        if not self.codes:
            return np.where(np.abs(x) < FARTHEST, 0.0, 1.0)
        gap = np.abs(x[..., None] - self.inputs).min(-1)
        nearest: Floats = gap / np.diff(self.inputs).min()
        return nearest

    def same(self, x: Floats, truth: Floats) -> Booleans:
        """Whether an input found is the true one, codes after rounding."""
        near = np.diff(self.inputs).min() / 2 if self.codes else TOLERANCE
        return np.abs(x - truth) <= near


ATTRIBUTES = (
    Attribute("age", mean=54, sd=9),
    Attribute("male", codes=(0, 1), shares=(0.32, 0.68)),
    Attribute("cp", codes=(1, 2, 3, 4), shares=(0.08, 0.16, 0.28, 0.48)),
    Attribute("trestbps", mean=132, sd=18),
    Attribute("chol", mean=246, sd=50),
    Attribute("fbs", codes=(0, 1), shares=(0.85, 0.15)),
    Attribute("restecg", codes=(0, 1, 2), shares=(0.5, 0.02, 0.48)),
    Attribute("thalach", mean=150, sd=23),
    Attribute("exang", codes=(0, 1), shares=(0.67, 0.33)),
    Attribute("oldpeak", mean=1.0, sd=1.2),
    Attribute("slope", codes=(1, 2, 3), shares=(0.47, 0.46, 0.07)),
    Attribute("ca", codes=(0, 1, 2, 3), shares=(0.58, 0.22, 0.13, 0.07)),
    Attribute("thal", codes=(3, 6, 7), shares=(0.55, 0.06, 0.39)),
)
FEATURES = tuple(attribute.feature for attribute in ATTRIBUTES)


def draw_patients(rng: np.random.Generator, n: int) -> Task:
    """Return n patients with a diagnosis that depends on all attributes alike."""
    x = encode({a.name: a.draw(rng, n) for a in ATTRIBUTES}, FEATURES)
    logit = STRENGTH * (x - x.mean(0)) @ rng.choice([-1.0, 1.0], x.shape[1]) / np.sqrt(x.shape[1])
    y = (rng.random(n) < (1 + np.tanh(logit / 2)) / 2).astype(np.int64)
    return Task("generated", x, y, np.arange(n))


def plausible(x: Floats, *, within: float = 0.1) -> Booleans:
    """Return which attributes [..., 13] could be a patient's: near a code, or not too far out."""
    far = [a.distance(x[..., j]) for j, a in enumerate(ATTRIBUTES)]
    return np.stack(far, axis=-1) < within


def rows_found(found: Floats, truth: Floats) -> int:
    """Return how many patients of truth [n, 13] are in found [m, 13] with every attribute right."""
    same = [a.same(found[:, None, j], truth[None, :, j]) for j, a in enumerate(ATTRIBUTES)]
    return int(np.all(same, axis=0).any(0).sum())
