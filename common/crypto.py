"""The one room for cryptography: streams of bytes, signatures, key agreement, sealing.

All primitives are those of the `cryptography` package. Nothing here decides what is secret, for how
long, or what follows from a failure: a failed verification raises, and its caller aborts.
"""

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from common.errors import PrivacyError

KEY_BYTES = 32


def fresh_key() -> bytes:
    """Return 32 bytes of the operating system's generator."""
    return os.urandom(KEY_BYTES)


class ByteStream:
    """The pseudorandom bytes of a key: AES-256 in counter mode from counter 0.

    A key serves one stream only: whoever opens a second one on it repeats the first.
    """

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        return self._encryptor.update(bytes(count))


def new_identity() -> bytes:
    """Return a fresh Ed25519 private key, 32 bytes."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> bytes:
    """Return the public key, 32 bytes, of an Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, label: bytes, data: bytes) -> bytes:
    """Return the signature, 64 bytes, of data under a label, which says what the data is.

    A signature under one label never holds under another.
    """
    return Ed25519PrivateKey.from_private_bytes(private).sign(_labelled(label, data))


def verify(public: bytes, label: bytes, data: bytes, signature: bytes) -> None:
    """Return if the signature is that of the public key's owner.

    Raises:
        PrivacyError: it is not.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, _labelled(label, data))
    except (InvalidSignature, ValueError) as error:
        raise PrivacyError(
            "a signature does not hold",
            where=label.decode(errors="replace"),
            remedy="trust nothing that it covers; ask whoever sent or kept it",
        ) from error


def _labelled(label: bytes, data: bytes) -> bytes:
    return len(label).to_bytes(8, "big") + label + data
