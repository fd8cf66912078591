"""The one room for cryptography: streams of bytes, signatures, key agreement, sealing.

All primitives are those of the `cryptography` package. Nothing here decides what is secret, for how
long, or what follows from a failure: a failed verification raises, and its caller aborts.
"""

import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

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
