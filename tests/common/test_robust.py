from importlib.metadata import entry_points

import numpy as np
import pytest
import torch
from flwr.server.strategy.aggregate import (
    aggregate_krum,
    aggregate_median,
    aggregate_trimmed_avg,
)

from common.errors import SettingsError
from common.robust import (
    centred_clipping,
    find_aggregation,
    independent,
    median,
    multi_krum,
    plausible_norms,
    trimmed_mean,
)

ROBUST = sorted(entry_points(group="wardround.aggregations").names)


def updates(k: int = 11, d: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((k, d)))


def flowers(rows: torch.Tensor) -> list[tuple[list[np.ndarray], int]]:
    return [([row.numpy()], 1) for row in rows]


@pytest.mark.parametrize("k", [10, 11])
def test_median_and_trimmed_mean_are_flowers(k: int) -> None:
    rows = updates(k)
    np.testing.assert_allclose(median(rows), aggregate_median(flowers(rows))[0])
    # Flower cuts a share of each end: .2 of 10 or 11 values are 2.
    trimmed = aggregate_trimmed_avg(flowers(rows), 0.2)[0]
    np.testing.assert_allclose(trimmed_mean(rows, trimmed=2), trimmed)


def test_multi_krum_is_flowers() -> None:
    rows = updates()
    np.testing.assert_allclose(
        multi_krum(rows, malicious=3), aggregate_krum(flowers(rows), 3, 8)[0], rtol=1e-6
    )


def test_centred_clipping_by_hand() -> None:
    # Median 1, distances 1, 0, 1, 9, 0: tau is their median 1, so that 10 counts as 2.
    # v = 1 + (-1 + 0 + 1 + 1 + 0) / 5.
    rows = torch.tensor([[0.0], [1.0], [2.0], [10.0], [1.0]])
    assert float(centred_clipping(rows, steps=1)) == pytest.approx(1.2)


@pytest.mark.parametrize("name", ROBUST)
def test_a_minority_of_huge_updates_moves_the_result_by_little(name: str) -> None:
    honest = updates(9) * 0.1 + 1
    rows = torch.cat([honest, torch.full((2, 40), -1e6, dtype=torch.float64)])
    found = find_aggregation(name)(rows, malicious=2)
    assert float((found - 1).abs().max()) < 0.5
    assert float((rows.mean(0) - 1).abs().max()) > 1e5, "the mean is what would break"


@pytest.mark.parametrize("name", ROBUST)
def test_the_order_of_the_sites_does_not_matter(name: str) -> None:
    rows, aggregate = updates(), find_aggregation(name)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(aggregate(rows, malicious=2), aggregate(rows[order], malicious=2))


@pytest.mark.parametrize("name", ROBUST)
def test_too_few_updates_are_refused(name: str) -> None:
    aggregate = find_aggregation(name)
    assert aggregate.name == name
    least = aggregate.fewest(2)
    assert least == (7 if name == "multi-krum" else 5)
    aggregate(updates(least), malicious=2)
    with pytest.raises(SettingsError, match="cannot withstand 2"):
        aggregate(updates(least - 1), malicious=2)


def noised(k: int, d: int, std: float, length: float, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    clean = rng.standard_normal(d)
    clean *= length / np.linalg.norm(clean)
    return torch.from_numpy(clean + std * rng.standard_normal((k, d))).float()


@pytest.mark.parametrize("d", [34, 1026, 4290])
@pytest.mark.parametrize("std", [0.001, 0.01, 1.0])
def test_an_honest_update_is_never_taken_for_a_lie(d: int, std: float) -> None:
    rows = noised(2000, d, std, 0.2)
    public = {"std": torch.full((2000,), std), "bound": torch.full((2000,), 0.25)}
    assert plausible_norms(rows, **public).all()
    assert independent(rows[:400], std=public["std"][:400], bound=public["bound"][:400]).all()


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, 100.0])
def test_an_update_without_its_noise_or_beyond_its_bound_is_dropped(factor: float) -> None:
    rows = noised(20, 4290, 0.01, 0.2)
    rows[3] *= factor
    public = {"std": torch.full((20,), 0.01), "bound": torch.full((20,), 0.25)}
    assert plausible_norms(rows, **public).tolist() == [i != 3 for i in range(20)]


def test_liars_who_send_the_same_are_dropped_both() -> None:
    rows = noised(20, 4290, 0.01, 0.2)
    rows[3] = -rows[7]
    rows[5] = rows[3]
    public = {"std": torch.full((20,), 0.01), "bound": torch.full((20,), 0.25)}
    assert independent(rows, **public).tolist() == [i not in {3, 5} for i in range(20)]
