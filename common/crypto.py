"""The one room for cryptography: streams of bytes, signatures, key agreement, sealing.

All primitives are those of the `cryptography` package. Nothing here decides what is secret, for how
long, or what follows from a failure: a failed verification raises, and its caller aborts.

Whatever is signed, derived or sealed is bound to its purpose by parts that are framed with their
lengths, so that no two purposes can be spelled alike.
"""

import hashlib
import os

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import CryptoError

KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES = 32, 64, 16
_NONCE_BYTES = 12
Part = str | int | bytes


def fresh_key() -> bytes:
    """Return 32 bytes of the operating system's generator."""
    return os.urandom(KEY_BYTES)


def framed(*parts: Part) -> bytes:
    """Return the parts as bytes, each with its length before it; a number counts as its digits."""
    encoded = (part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return b"".join(len(data).to_bytes(8, "big") + data for data in encoded)


def digest(*parts: Part) -> bytes:
    """Return the SHA-256 of the framed parts."""
    return hashlib.sha256(framed(*parts)).digest()


class ByteStream:
    """The pseudorandom bytes of a key: AES-256 in counter mode from counter 0.

    A key serves one stream only: whoever opens a second one on it repeats the first.
    """

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        return self._encryptor.update(bytes(count))


class SigningKey:
    """An Ed25519 identity, from its 32 secret bytes."""

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, label: str, text: str | bytes) -> bytes:
        """Return the signature [64] of a text under a label, which says what is meant by it."""
        return self._key.sign(framed(label, text))


def verify(public: bytes, signature: bytes, label: str, text: str | bytes) -> None:
    """Return if the signature is that key's, of that text, under that label.

    Raises:
        CryptoError: it is not, or the key is none.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, framed(label, text))
    except (InvalidSignature, ValueError) as error:
        raise _failure("bad-signature", "a signature does not hold") from error


class AgreementKey:
    """An X25519 key, from its 32 secret bytes."""

    def __init__(self, secret: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._key.public_key().public_bytes_raw()

    def shared(self, peer: bytes) -> bytes:
        """Return the secret [32] that is shared with the owner of the public key `peer`.

        Raises:
            CryptoError: the peer's key is a point of low order, which would make it no secret.
        """
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError as error:
            raise _failure("low-order-key", "a public key is no key") from error


def derive(secret: bytes, *purpose: Part) -> bytes:
    """Return the 32 bytes that a secret gives for a purpose (HKDF-SHA256, RFC 5869)."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=framed(*purpose)).derive(secret)


def seal_once(key: bytes, data: bytes, context: bytes) -> bytes:
    """Return `data` sealed for the holder of a key that seals nothing else, ever.

    ChaCha20-Poly1305 (RFC 8439). The nonce is zero: it has to differ only between uses of one key.
    """
    return ChaCha20Poly1305(key).encrypt(bytes(_NONCE_BYTES), data, context)


def open_once(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return what `seal_once` sealed.

    Raises:
        CryptoError: it was changed, or sealed with another key or context.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(_NONCE_BYTES), sealed, context)
    except (InvalidTag, ValueError) as error:
        raise _failure("bad-tag", "a sealed message does not open") from error


def close_envelope(key: bytes, data: bytes, context: bytes) -> bytes:
    """Return `data` sealed for storage (AES-256-GCM); one key serves many envelopes."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, context)


def open_envelope(key: bytes, envelope: bytes, context: bytes) -> bytes:
    """Return what `close_envelope` sealed.

    Raises:
        CryptoError: it was changed, or sealed with another key or context.
    """
    nonce, sealed = envelope[:_NONCE_BYTES], envelope[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError) as error:
        raise _failure("bad-tag", "a sealed file does not open") from error


def _failure(code: str, what: str) -> CryptoError:
    return CryptoError(
        code, what, where="cryptography", remedy="find out who changed it; do not try again blindly"
    )
