"""The code of an invitation: where the coordinator is, how to know it, and a secret of one use.

It is one word of letters and digits, which survives a mail, a telephone's keyboard and line breaks:

    WARD1 + base32(version | SHA-256 of the authority [32] | secret [20] | URL | checksum [4])
"""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple, Self

from common.errors import SettingsError

PREFIX = "WARD1"
SECRET_BYTES, _HASH_BYTES, _CHECK_BYTES, _LONGEST_URL = 20, 32, 4, 300
_URL = re.compile(rb"https://((?:\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5}))")
_LABEL = b"wardround/invitation/v1"


class Invitation(NamedTuple):
    """What a code says. address: host:port. authority: SHA-256 of the CA certificate, hex."""

    address: str
    authority: str
    secret: bytes

    @property
    def code(self) -> str:
        """The word to be copied."""
        body = b"".join(
            (bytes.fromhex(self.authority), self.secret, f"https://{self.address}".encode())
        )
        return PREFIX + base64.b32encode(body + _checksum(body)).decode("ascii").rstrip("=")

    @property
    def hash(self) -> str:
        """What the coordinator keeps of the secret, hex."""
        return secret_hash(self.secret)

    @classmethod
    def read(cls, code: str) -> Self:
        """Return the invitation of a code; blanks, line breaks, dashes and case do not matter.

        Raises:
            SettingsError: it is no code, a part is missing, or a letter is wrong.
        """
        word = re.sub(r"[\s-]", "", code).upper()
        if not word.startswith(PREFIX):
            raise _wrong(f"this is no invitation: one begins with {PREFIX}")
        letters = word.removeprefix(PREFIX)
        try:
            whole = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except (binascii.Error, ValueError):
            raise _wrong("a letter of the invitation is wrong, or some are missing") from None
        body, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        start = _HASH_BYTES + SECRET_BYTES
        if len(body) <= start or check != _checksum(body):
            raise _wrong("a letter of the invitation is wrong, or some are missing")
        return cls(_address(body[start:]), body[:_HASH_BYTES].hex(), body[_HASH_BYTES:start])


def secret_hash(secret: bytes) -> str:
    """Return what is kept of an invitation's secret: 160 random bits need no slow hash."""
    return hashlib.sha256(_LABEL + secret).hexdigest()


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(_LABEL + b" checksum" + body).digest()[:_CHECK_BYTES]


def _address(url: bytes) -> str:
    found = _URL.fullmatch(url)
    if not found or len(url) > _LONGEST_URL or not 0 < int(found[2]) < 65_536:
        raise _wrong("the invitation names no coordinator")
    return found[1].decode("ascii")


def _wrong(what: str) -> SettingsError:
    return SettingsError(
        what, where="invitation", remedy="copy the whole code again, or ask for a new one"
    )
