import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.randomness import derived_key, generator

Key = tuple[str | int | bytes, ...]

keys = st.lists(st.one_of(st.text(), st.integers(), st.binary()), max_size=4).map(tuple)


def draws(*key: str | int | bytes) -> list[int]:
    return [int(draw) for draw in generator(*key).integers(2**63, size=4)]


@given(keys)
def test_equal_keys_give_equal_draws(key: Key) -> None:
    assert draws(*key) == draws(*key)
    assert derived_key(*key) == derived_key(*key)


@given(keys, keys)
def test_different_keys_give_different_draws(one: Key, other: Key) -> None:
    # 256 bits of four draws: an accidental match is out of reach.
    assert (one == other) == (draws(*one) == draws(*other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("1",), (1,)),
        (("a",), (b"a",)),
        (("a", "b"), ("b", "a")),
        ((), ("",)),
        (("",), ("", "")),
        ((1, 2), (12,)),
        (("astr:b",), ("a", "b")),
        (("astr:1:b",), ("a", "b")),
    ],
)
def test_keys_that_look_alike_are_different(one: Key, other: Key) -> None:
    assert draws(*one) != draws(*other)
    assert derived_key(*one) != derived_key(*other)


def test_draws_of_one_generator_do_not_disturb_another() -> None:
    first = generator("site", 1)
    expected = draws("site", 2)
    first.normal(size=100)
    assert draws("site", 2) == expected


def test_a_draw_depends_on_its_key_alone_and_not_on_the_process() -> None:
    code = (
        "from common.randomness import generator;"
        "print(generator('site', 7, b'x').integers(2**63, size=4).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(draws("site", 7, b"x"))


def test_the_key_is_the_hash_of_type_length_and_content() -> None:
    # Written out, so that a change of the scheme (it would change every draw of a study) is seen.
    digest = hashlib.sha256(b"str:4:site" + b"int:1:7" + b"bytes:2:xy").digest()
    by_hand = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    assert by_hand.integers(2**63, size=4).tolist() == draws("site", 7, b"xy")
    assert derived_key("site", 7, b"xy") == digest


def test_a_derived_key_holds_32_bytes_and_starts_other_keys() -> None:
    key = derived_key("secret", "site")
    assert len(key) == 32
    assert draws(key, 1) != draws(key, 2)


def test_draws_are_uniform() -> None:
    # The mean of 1,000 first draws in [0, 1) has standard error .0091: within 5 of them.
    first = np.array([generator("uniform", i).random() for i in range(1000)])
    assert abs(first.mean() - 0.5) < 5 * 0.0091
