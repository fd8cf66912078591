"""The masked input, recomputed from the definitions with nothing of ours but the statements' texts.

HKDF is written out after RFC 5869 with `hmac`; X25519 and AES are called as the library has them.
"""

import hashlib
import hmac

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulation.attack.server import call_of
from simulation.attack.stage import THETA, make_stage

LABEL = "wardround/secagg/v1"


def framed(*parts: str | int | bytes) -> bytes:
    data = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"".join(len(one).to_bytes(8, "big") + one for one in data)


def hkdf(secret: bytes, *info: str | int | bytes) -> bytes:
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, framed(*info) + b"\x01", hashlib.sha256).digest()


def stream(key: bytes, words: int) -> list[int]:
    data = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * words))
    return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]


def test_a_masked_input_is_what_the_definition_says() -> None:
    stage = make_stage(5, colluders=0)
    session = stage.set_up()
    call = call_of(session, 1, 4, stage.names)
    name, dim = stage.names[2], stage.dim
    words = stage.masked_input(name, call)
    assert words is not None

    link = hkdf(stage.entropy[name][0], LABEL, "chain")
    link = hkdf(link, LABEL, "link")  # of turn 1
    mask, seed = hkdf(link, LABEL, "mask"), hkdf(link, LABEL, "self-mask")
    context = hashlib.sha256(framed(LABEL, session.context.text)).hexdigest()
    total = stream(hkdf(seed, LABEL, "self", context, 1, THETA, name), dim)
    for peer in stage.names:
        if peer != name:
            public = X25519PublicKey.from_public_bytes(bytes.fromhex(call.deck.of(peer).mask))
            shared = X25519PrivateKey.from_private_bytes(mask).exchange(public)
            key = hkdf(shared, LABEL, "pair", context, 1, THETA, *sorted((name, peer)))
            sign = 1 if name < peer else -1
            total = [t + sign * m for t, m in zip(total, stream(key, dim), strict=True)]
    plain = stage.words(name, 4).tolist()
    assert words.tolist() == [(t + p) % 2**64 for t, p in zip(total, plain, strict=True)]
    assert np.any(words != stage.words(name, 4))
