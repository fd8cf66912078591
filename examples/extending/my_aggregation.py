"""A new robust aggregation: the geometric median, by Weiszfeld's smoothed iteration.

Pillutla, Kakade, Harchaoui, "Robust Aggregation for Federated Learning", IEEE Transactions on
Signal Processing 70, 2022, arXiv 1912.13445, algorithm 2.
"""

from torch import Tensor

from common.robust import Aggregation

STEPS, SMOOTHING = 8, 1e-6


def geometric_median(updates: Tensor, malicious: int) -> Tensor:
    """Return the point [d] whose distances to the updates [k, d] have the least sum.

    How many may lie need not be known: fewer than half of the updates can never drag it away.
    """
    del malicious
    v = updates.mean(0)
    for _ in range(STEPS):
        weight = 1 / (updates - v).norm(dim=1).clamp(min=SMOOTHING)
        v = (weight[:, None] * updates).sum(0) / weight.sum()
    return v


MY_AGGREGATION = Aggregation(
    name="geometric-median", source="Pillutla et al. 2022", combine=geometric_median
)
