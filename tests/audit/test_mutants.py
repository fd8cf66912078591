"""Each way to break the mechanism that we know of turns an audit red."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import common.learner
import common.slots
from common.crypto import ByteStream
from common.episodes import Episode
from common.privacy.groups import Drawn, Grouping, draw_groups
from common.privacy.mechanism import UNIT, Mechanism, Units
from tests.audit.audits import (
    CLIP,
    audit_canary,
    audit_coins,
    audit_coupling,
    audit_std,
    learner_of,
    site_of,
    with_stub,
)

Patch = pytest.MonkeyPatch
noise, bounded, release = Mechanism.noise, Mechanism.bounded, Mechanism.release


def canary() -> None:
    audit_canary(noise=2.16, replaced=False)


def coupling(*, replaced: bool = False, coin: float = 0.5) -> None:
    """All victims, a stub whose group's update turns round when its patients change."""
    import torch

    base = learner_of(noise=1.0, coin=coin)

    def compute(meta: object, episodes: Episode, settings: object) -> torch.Tensor:
        total = sum(side.x[..., 0].flatten(1).sum(1) for side in episodes)
        return 9 * torch.cos(torch.outer(torch.as_tensor(total), torch.arange(base.dim) + 1.0))

    learner = with_stub(base, compute)
    x = np.random.default_rng(0).standard_normal((23, 5)).astype(np.float32)
    y = np.zeros(23, dtype=np.int64)
    for victim in range(23):
        other = x.copy()
        other[victim] *= -1
        after = site_of(other, y) if replaced else site_of(x, y, absent=[victim])
        audit_coupling(learner, site_of(x, y), after, replaced=replaced, key=victim)


def no_clip(patch: Patch) -> None:
    def unbounded(self: Mechanism, updates: NDArray[np.floating]) -> Units:
        return np.rint(updates.astype(np.float64) / UNIT).astype(np.int64)

    patch.setattr(Mechanism, "bounded", unbounded)


def clip_per_tensor(patch: Patch) -> None:
    def each(self: Mechanism, updates: NDArray[np.floating]) -> Units:
        halves = np.array_split(updates, 4, axis=1)
        units: Units = np.concatenate([bounded(self, half) for half in halves], axis=1)
        return units

    patch.setattr(Mechanism, "bounded", each)


def clip_before_scaling(patch: Patch) -> None:
    def early(self: Mechanism, updates: NDArray[np.floating]) -> Units:
        units: Units = 2 * bounded(self, updates)  # as if a rate were applied after the clip
        return units

    patch.setattr(Mechanism, "bounded", early)


def noise_times(factor: float) -> Callable[[Patch], None]:
    def apply(patch: Patch) -> None:
        def scaled(self: Mechanism, stream: ByteStream, dim: int) -> Units:
            units: Units = np.rint(noise(self, stream, dim) * factor).astype(np.int64)
            return units

        patch.setattr(Mechanism, "noise", scaled)

    return apply


def sampled_count(patch: Patch) -> None:
    def divided(
        self: Mechanism, updates: NDArray[np.floating], stream: ByteStream, *, expected: float
    ) -> NDArray[np.float64]:
        return release(self, updates, stream, expected=max(len(updates), 1))

    patch.setattr(Mechanism, "release", divided)


def short_groups(patch: Patch) -> None:
    """A group with an absent slot runs with the patients that are left."""

    class Everyone(common.slots.SlottedSite):
        @property
        def present(self) -> Any:
            return np.ones(self.row_of.shape[1], dtype=bool)

    patch.setattr(common.slots, "SlottedSite", Everyone)


def packed_patients(patch: Patch) -> None:
    """Patients are sampled one by one, then packed into groups: one less shifts all others."""
    original = common.slots.gather

    def packed(sites: Any, drawn: Any, *, support: int) -> Any:
        changed = []
        for site, groups in zip(sites, drawn, strict=True):
            there = groups.slots.ravel()[site.present[groups.slots.ravel()]]
            size = groups.slots.shape[1]
            full = len(there) // size
            changed.append(Drawn(there[: full * size].reshape(full, size), groups.task[:full]))
        return original(sites, changed, support=support)

    patch.setattr(common.learner, "gather", packed)


def twice(grouping: Grouping, stream: ByteStream) -> Drawn:
    drawn = draw_groups(grouping, stream)
    return Drawn(*(np.concatenate([part, part]) for part in drawn))


def no_coin(grouping: Grouping, stream: ByteStream) -> Drawn:
    return draw_groups(Grouping(slots=grouping.slots, size=4, coin=1.0, tasks=3), stream)


def same_coin(grouping: Grouping, stream: ByteStream) -> Drawn:
    """One coin for all groups: the right rate, and no independence."""
    drawn = draw_groups(Grouping(slots=grouping.slots, size=4, coin=1.0, tasks=3), stream)
    keep = int.from_bytes(stream.take(8), "little") < grouping.coin * 2**64
    return drawn if keep else Drawn(drawn.slots[:0], drawn.task[:0])


def in_two_groups(patch: Patch) -> None:
    patch.setattr(common.learner, "draw_groups", twice)


MUTANTS: dict[str, tuple[Callable[[Patch], None], Callable[[], None]]] = {
    "no clip": (no_clip, canary),
    "clip per tensor": (clip_per_tensor, coupling),
    "clip before scaling": (clip_before_scaling, canary),
    "noise not scaled by C": (noise_times(1 / CLIP), canary),
    "noise x 0.9": (noise_times(0.9), canary),
    "noise x 0.99": (noise_times(0.99), audit_std),
    "noise / sqrt(batch)": (noise_times(20**-0.5), canary),
    "sampled count as divisor": (sampled_count, coupling),
    "group runs without its absent patient": (short_groups, coupling),
    "sampled patients are packed": (packed_patients, coupling),
    "patient in two groups": (in_two_groups, coupling),
}


@pytest.mark.parametrize("replaced", [False, True])
def test_the_coupling_passes_where_nothing_is_broken(replaced: bool) -> None:
    coupling(replaced=replaced)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_killed(name: str, monkeypatch: Patch) -> None:
    mutate, audit = MUTANTS[name]
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        audit()


@pytest.mark.parametrize("draw", [twice, no_coin, same_coin])
def test_mutant_of_the_draw_is_killed(draw: Callable[..., Drawn]) -> None:
    with pytest.raises(AssertionError):
        audit_coins(draw)
