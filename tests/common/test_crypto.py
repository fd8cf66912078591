"""The room for cryptography: what is changed does not open, and every purpose has its own bytes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.crypto import (
    AgreementKey,
    ByteStream,
    SigningKey,
    close_envelope,
    derive,
    digest,
    framed,
    fresh_key,
    open_envelope,
    open_once,
    seal_once,
    verify,
)
from common.errors import CryptoError

KEY = bytes(range(32))
Seal = Callable[[bytes, bytes, bytes], bytes]


def test_a_stream_goes_on_where_it_was_and_is_aes_in_counter_mode() -> None:
    stream = ByteStream(KEY)
    assert stream.take(5) + stream.take(27) == ByteStream(KEY).take(32)
    # `openssl enc -aes-256-ecb -K 000102..1f -nopad` of 16 zero bytes, the counter 0.
    assert ByteStream(KEY).take(16).hex() == "f29000b62a499fd0a9f39a6add2e7780"


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_no_two_lists_of_parts_are_framed_alike(one: list[bytes], other: list[bytes]) -> None:
    assert (framed(*one) == framed(*other)) == (one == other)


def test_a_signature_holds_for_its_key_its_label_and_its_text_only() -> None:
    key = SigningKey(KEY)
    signature = key.sign("label", "text")
    verify(key.public, signature, "label", "text")
    other = SigningKey(bytes(32)).public
    for public, spoilt, label, text in (
        (other, signature, "label", "text"),
        (key.public, signature[:-1] + b"x", "label", "text"),
        (key.public, signature, "other", "text"),
        (key.public, signature, "labelt", "ext"),
        (key.public, signature, "label", "other"),
        (b"short", signature, "label", "text"),
    ):
        with pytest.raises(CryptoError):
            verify(public, spoilt, label, text)


def test_two_sites_share_a_secret_and_a_point_of_low_order_is_refused() -> None:
    one, other = AgreementKey(fresh_key()), AgreementKey(fresh_key())
    assert one.shared(other.public) == other.shared(one.public)
    for point in (bytes(32), (1).to_bytes(32, "little")):
        with pytest.raises(CryptoError) as caught:
            one.shared(point)
        assert caught.value.code == "low-order-key"


def test_each_purpose_derives_its_own_bytes() -> None:
    purposes = [("a",), ("b",), ("a", 1), ("a", "2"), ("a1",), ()]
    assert len({derive(KEY, *purpose) for purpose in purposes}) == len(purposes)
    assert derive(KEY, "a") != digest(KEY, "a")


@pytest.mark.parametrize(
    ("seal", "unseal"), [(seal_once, open_once), (close_envelope, open_envelope)]
)
def test_what_is_sealed_opens_unchanged_and_under_its_own_key_and_context_only(
    seal: Seal, unseal: Seal
) -> None:
    sealed = seal(KEY, b"secret", b"context")
    assert unseal(KEY, sealed, b"context") == b"secret"
    for key, data, context in (
        (bytes(32), sealed, b"context"),
        (KEY, sealed, b"other"),
        (KEY, sealed[:-1], b"context"),
        (KEY, b"", b"context"),
        (KEY, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"context"),
    ):
        with pytest.raises(CryptoError) as caught:
            unseal(key, data, context)
        assert caught.value.code == "bad-tag"


def test_an_envelope_looks_different_each_time() -> None:
    assert close_envelope(KEY, b"a", b"") != close_envelope(KEY, b"a", b"")
