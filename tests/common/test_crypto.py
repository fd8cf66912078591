import pytest

from common.crypto import new_identity, public_key, sign, verify
from common.errors import PrivacyError


def test_a_signature_holds_for_its_key_label_and_data_only() -> None:
    private = new_identity()
    public, signature = public_key(private), sign(private, b"ledger", b"line")
    verify(public, b"ledger", b"line", signature)
    other = public_key(new_identity())
    for wrong in (
        (other, b"ledger", b"line", signature),
        (public, b"roster", b"line", signature),
        (public, b"ledge", b"rline", signature),
        (public, b"ledger", b"lime", signature),
        (public, b"ledger", b"line", bytes(64)),
        (public, b"ledger", b"line", b""),
        (b"short", b"ledger", b"line", signature),
    ):
        with pytest.raises(PrivacyError, match="signature does not hold"):
            verify(*wrong)
