"""Rules of no round numbers, for portfolios that nobody trained."""

import numpy as np

from common.personal.conformal import GRID, Reference
from common.personal.gate import Gate, Scale
from common.personal.portfolio import Rule

NAMES = ("prevalence", "local/0.1", "maml/zero", "maml/full/4", "reptile/steps/2", "expert/head/3")


def rule(seed: int) -> Rule:
    """A rule of no round numbers, at no patients and at five."""
    rng = np.random.default_rng(seed)

    def scale() -> Scale:
        logs = {name: float(np.float32(rng.normal())) for name in NAMES}
        return Scale(logs, *(float(v) for v in rng.random(4)))

    def reference() -> Reference:
        low, high = np.sort(rng.random((2, len(GRID))), axis=1)
        return Reference((low, high), float(rng.random()))

    return Rule(Gate({5: scale(), 0: scale()}, 7), {0: reference(), 5: reference()})
