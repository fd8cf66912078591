"""Why 2t > k + f: all views that a coordinator can give to honest sites, one by one.

A model without cryptography. Each honest site is told who was asked (U1) and who survived (U2);
it tells shares of the self-masks of U2 and of the masking keys of U1 without U2, at once if U2 is
U1 (the fast path), else if t sites have signed the same statement. The f colluders sign anything
and tell all of their own shares.
"""

from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

import pytest

Set = frozenset[int]


class View(NamedTuple):
    asked: Set
    survivors: Set


def views(site: int, k: int, t: int, *, split_calls: bool) -> list[View]:
    def large(whole: Set) -> list[Set]:
        sizes = range(t, len(whole) + 1)
        return [frozenset(s) for n in sizes for s in combinations(sorted(whole), n) if site in s]

    everyone = frozenset(range(k))
    calls = large(everyone) if split_calls else [everyone]
    return [View(asked, survivors) for asked in calls for survivors in large(asked)]


def known_sums(told: dict[int, View], k: int, t: int, f: int) -> set[Set]:
    """Return the honest sites of each sum that can be unmasked; honest sites are the first k-f."""
    honest = range(k - f)
    signed = [*told.values()]
    telling = [
        view
        for view in signed
        if view.asked == view.survivors
        or signed.count(view) + sum(c in view.survivors for c in range(k - f, k)) >= t
    ]
    seeds = {v for v in honest if sum(v in view.survivors for view in telling) + f >= t}
    keys = {v for v in honest if sum(v in view.asked - view.survivors for view in telling) + f >= t}
    found = set()
    for size in range(1, len(seeds) + 1):
        for chosen in map(frozenset, combinations(sorted(seeds), size)):
            if all(cancels(v, w, chosen, told) or {v, w} & keys for v in chosen for w in honest):
                found.add(chosen)
    return found


def cancels(v: int, w: int, chosen: Set, told: dict[int, View]) -> bool:
    """Whether v's mask with w is none, or is taken off again by w in the same sum."""
    return v == w or w not in told[v].asked or (w in chosen and v in told[w].asked)


def violations(k: int, t: int, f: int, *, split_calls: bool) -> Iterator[set[Set]]:
    honest = range(k - f)
    for chosen in product(*(views(site, k, t, split_calls=split_calls) for site in honest)):
        sums = known_sums(dict(zip(honest, chosen, strict=True)), k, t, f)
        if len(sums) > 1 or any(len(honest_in) < t - f for honest_in in sums):
            yield sums


@pytest.mark.parametrize(
    ("k", "t", "f", "split_calls"),
    [
        (3, 3, 0, True),
        (3, 3, 1, True),
        (4, 3, 0, True),
        (4, 3, 1, True),
        (5, 4, 2, True),
        (5, 4, 1, False),
        (5, 4, 0, False),
    ],
)
def test_no_views_give_a_second_sum_or_a_small_one(
    k: int, t: int, f: int, split_calls: bool
) -> None:
    assert 2 * t > k + f
    assert not any(violations(k, t, f, split_calls=split_calls))


@pytest.mark.parametrize(("k", "t", "f"), [(4, 3, 2), (5, 3, 1)])
def test_with_a_lower_threshold_some_views_do(k: int, t: int, f: int) -> None:
    assert 2 * t <= k + f
    assert next(violations(k, t, f, split_calls=False))


def test_the_model_does_unmask_an_honest_round() -> None:
    everyone = frozenset(range(5))
    told = dict.fromkeys(range(3), View(everyone, everyone - {0}))
    told[0] = View(everyone, everyone)
    assert known_sums(told, 5, 4, 2) == {frozenset({1, 2})}
