import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.randomness import (
    Stream,
    below,
    derived_key,
    generator,
    next_word,
    open_stream,
    stream,
    stream_key,
)

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


def block(key: list[int], counter: list[int]) -> list[int]:
    state: Stream = np.zeros(11, dtype=np.uint64)
    state[:2], state[2:6], state[6] = key, counter, 4
    return [int(next_word(state)) for _ in range(4)]


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ([0] * 2, [0] * 4, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 2, [2**32 - 1] * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0xA4093822, 0x299F31D0],
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_a_stream_is_philox_by_its_authors_known_answers(
    key: list[int], counter: list[int], words: str
) -> None:
    # The known answers of philox4x32-10 that come with Random123 (Salmon et al. 2011).
    assert block(key, counter) == [int(word, 16) for word in words.split()]


def test_streams_differ_by_key_and_by_counter() -> None:
    def words(state: Stream) -> tuple[int, ...]:
        return tuple(int(next_word(state)) for _ in range(9))

    drawn = {words(stream("site", i, counter=j)) for i in range(5) for j in range(5)}
    assert len(drawn) == 25
    assert words(stream("site", 3, counter=2)) == words(open_stream(stream_key("site", 3), 2))


def test_draws_below_n_are_uniform() -> None:
    # 70,000 draws of 7 values: 10,000 each, with a standard deviation of 93.
    state = stream("below")
    counts = np.bincount([below(state, 7) for _ in range(70_000)], minlength=7)
    assert len(counts) == 7
    assert abs(counts - 10_000).max() < 5 * 93


def test_a_stream_is_the_same_interpreted() -> None:
    from common import randomness

    compiled, plain = stream("twice"), stream("twice")
    interpreted = getattr(randomness._next_block, "py_func", randomness._next_block)
    next_word(compiled)
    interpreted(plain)
    assert np.array_equal(compiled[7:], plain[7:])
