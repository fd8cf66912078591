"""Clipping bounds the influence of one group of patients on what a site sends.

Abadi et al., "Deep Learning with Differential Privacy", CCS 2016, arXiv 1607.00133, Algorithm 1.
"""

from torch import Tensor


def clip(updates: Tensor, *, clip_norm: float) -> Tensor:
    """Return each row of updates [n, d] scaled to Euclidean norm `clip_norm` if it is longer.

    A row of norm zero stays zero. NaN stays NaN: a check for it must follow.

    >>> clip(torch.tensor([[3.0, 4.0]]), clip_norm=1.0)
    tensor([[0.6000, 0.8000]])
    """
    norms = updates.norm(dim=1, keepdim=True)
    clipped: Tensor = updates * (clip_norm / norms.clamp(min=clip_norm))
    return clipped
