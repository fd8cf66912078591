"""Whatever comes from the network is read, or refused by the error that its reader declares.

`make fuzz` tries many more, of another draw each time.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.decoders import decoders
from tests.fuzz.hostile import BOMBS, hostile, tries
from tests.fuzz.inputs import Decoder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Decoder]:
    return decoders(tmp_path_factory.mktemp("fuzz"))


NAMES = sorted(decoders(Path()))


def tried(decoder: Decoder, raw: bytes) -> None:
    with contextlib.suppress(*decoder.raises):
        decoder.read(raw)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_valid_is_read(known: Mapping[str, Decoder], name: str) -> None:
    known[name].read(known[name].valid)


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_read_or_refused(known: Mapping[str, Decoder], name: str) -> None:
    for bomb in BOMBS:
        tried(known[name], bomb)


@pytest.mark.parametrize("name", NAMES)
@tries(60)
@given(data=st.data())
def test_bytes_of_any_kind_are_read_or_refused(
    known: Mapping[str, Decoder], name: str, data: st.DataObject
) -> None:
    tried(known[name], data.draw(hostile(known[name].valid)))
