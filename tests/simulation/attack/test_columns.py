"""The sparse columns of a gradient that was made by hand."""

import numpy as np

from common.randomness import generator
from simulation.attack.columns import find_columns


def test_the_columns_of_a_product_are_among_the_candidates() -> None:
    # Delta [64, 4]: a signal where a neuron fires, about half of them; X [4, 14] at random.
    rng = generator("columns")
    signal = rng.standard_normal(64)
    delta = signal[:, None] * rng.standard_normal(4) * (rng.random((64, 4)) < 0.5)
    layer = delta @ rng.standard_normal((4, 14))
    scale = np.linalg.norm(layer, axis=1)
    kept = scale > 0
    basis = np.linalg.svd(layer[kept] / scale[kept, None], full_matrices=False)[0][:, :4]

    found = find_columns(basis, scale[kept], signal[kept], rng)

    columns = found.best(4) @ basis.T * scale[kept]
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    truth = delta[kept] / np.linalg.norm(delta[kept], axis=0)
    assert np.abs(columns @ truth).max(0).min() > 1 - 1e-6
    assert found.likeness.max() > 1 - 1e-6
