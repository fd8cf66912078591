import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.parameters import Params, all_finite, count, flatten, unflatten

shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=5)


def params_of(sizes: list[tuple[int, ...]]) -> Params:
    return {f"layer{i}": torch.randn(size) for i, size in enumerate(sizes)}


@given(shapes)
def test_unflatten_is_the_inverse_of_flatten(sizes: list[tuple[int, ...]]) -> None:
    params = params_of(sizes)
    back = unflatten(flatten(params), params)
    assert list(back) == list(params)
    assert all(torch.equal(back[name], p) for name, p in params.items())


@given(shapes)
def test_flatten_is_the_inverse_of_unflatten(sizes: list[tuple[int, ...]]) -> None:
    like = params_of(sizes)
    vector = torch.randn(count(like))
    assert torch.equal(flatten(unflatten(vector, like)), vector)


@given(shapes)
def test_count_is_the_length_of_the_flat_vector(sizes: list[tuple[int, ...]]) -> None:
    params = params_of(sizes)
    assert count(params) == len(flatten(params)) == sum(math.prod(size) for size in sizes)


def test_tensors_are_laid_out_in_the_order_of_the_dictionary() -> None:
    one, two = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor(5.0)
    assert flatten({"b": one, "a": two}).tolist() == [1, 2, 3, 4, 5]
    assert flatten({"a": two, "b": one}).tolist() == [5, 1, 2, 3, 4]


@pytest.mark.parametrize("length", [3, 5])
def test_a_vector_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(RuntimeError, match="split"):
        unflatten(torch.zeros(length), {"w": torch.zeros(2, 2)})


def test_a_parameter_without_entries_survives_the_round_trip() -> None:
    params = {"w": torch.zeros(0, 3), "b": torch.ones(2)}
    assert unflatten(flatten(params), params)["w"].shape == (0, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_entry_that_is_not_finite_is_noticed(value: float) -> None:
    params = {"w": torch.ones(3), "b": torch.ones(2, 2)}
    assert all_finite(params)
    params["b"][1, 1] = value
    assert not all_finite(params)
