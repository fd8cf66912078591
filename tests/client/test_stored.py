from pathlib import Path

import numpy as np
import pytest

from client.stored import Key, find, forget_before, keep, resend, reveal
from common.errors import PrivacyError

KEY = Key("run/1", 3, "ab" * 32)
VECTOR = np.array([5, -(2**62), 0], dtype=np.int64)


def test_the_same_question_has_the_same_answer_bit_for_bit(tmp_path: Path) -> None:
    assert resend(tmp_path, KEY) is None
    for dtype in (np.int64, np.uint64, np.float32, np.float64):
        key = KEY._replace(run=str(dtype))
        vector = np.array([0.1, 3.0, 2.5**40]).astype(dtype)
        keep(tmp_path, key, vector, debit=3)
        again = resend(tmp_path, key)
        assert again is not None
        assert again.tobytes() == vector.tobytes()
        assert again.dtype == vector.dtype


def test_a_release_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    keep(tmp_path / "new", KEY, VECTOR, debit=3)
    (path,) = (tmp_path / "new").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_another_theta_for_a_round_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, KEY, VECTOR, debit=3)
    other = KEY._replace(theta_sha256="cd" * 32)
    words = r"another theta \(round 3 of run run/1\)"
    with pytest.raises(PrivacyError, match=words):
        resend(tmp_path, other)
    with pytest.raises(PrivacyError, match=words):
        keep(tmp_path, other, VECTOR, debit=4)
    with pytest.raises(PrivacyError, match=words):
        reveal(tmp_path, other)
    assert resend(tmp_path, other._replace(round_index=4)) is None
    assert resend(tmp_path, other._replace(run="run/2")) is None


def test_a_release_is_never_replaced_while_it_may_be_sent_again(tmp_path: Path) -> None:
    keep(tmp_path, KEY, VECTOR, debit=3)
    with pytest.raises(PrivacyError, match="has a release already"):
        keep(tmp_path, KEY, VECTOR + 1, debit=4)
    again = resend(tmp_path, KEY)
    assert again is not None
    assert again.tolist() == VECTOR.tolist()


def test_what_was_revealed_is_not_sent_again_and_needs_a_new_debit(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="has no release"):
        reveal(tmp_path, KEY)
    keep(tmp_path, KEY, VECTOR, debit=3)
    for _ in range(2):
        reveal(tmp_path, KEY)
        with pytest.raises(PrivacyError, match=r"was revealed .*debit of its own"):
            resend(tmp_path, KEY)
    with pytest.raises(PrivacyError, match="line 3 of the ledger paid for another"):
        keep(tmp_path, KEY, VECTOR + 1, debit=3)
    keep(tmp_path, KEY, VECTOR + 1, debit=4)
    found = find(tmp_path, KEY)
    assert found is not None
    assert (found.debit, found.revealed) == (4, False)
    assert found.vector.tolist() == (VECTOR + 1).tolist()


def test_a_damaged_release_is_not_sent(tmp_path: Path) -> None:
    keep(tmp_path, KEY, VECTOR, debit=3)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:-1] + b"\x01", whole.replace(b'"v": 1', b'"v": 2')):
        path.write_bytes(damaged)
        with pytest.raises(PrivacyError, match="damaged"):
            resend(tmp_path, KEY)


def test_only_vectors_of_numbers_are_kept(tmp_path: Path) -> None:
    for wrong in (np.zeros((2, 2)), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError):
            keep(tmp_path, KEY, wrong, debit=3)
    assert not list(tmp_path.iterdir())


def test_earlier_rounds_of_a_run_can_be_forgotten(tmp_path: Path) -> None:
    for run in ("one", "two"):
        for index in (1, 2, 10):
            keep(tmp_path, Key(run, index, "ab" * 32), VECTOR, debit=3)
    assert forget_before(tmp_path, "one", 10) == 2
    assert resend(tmp_path, Key("one", 2, "ab" * 32)) is None
    assert resend(tmp_path, Key("one", 10, "ab" * 32)) is not None
    assert resend(tmp_path, Key("two", 1, "ab" * 32)) is not None
