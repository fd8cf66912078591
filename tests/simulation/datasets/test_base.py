import hashlib
from pathlib import Path

import pytest

from common.errors import TableError
from simulation.datasets.base import verified


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_the_original_file_is_returned(tmp_path: Path, algorithm: str) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    digest = hashlib.new(algorithm, b"abc").hexdigest()
    assert verified(tmp_path / "f", size=3, digest=digest, algorithm=algorithm) == b"abc"


@pytest.mark.parametrize(("content", "size"), [(b"abd", 3), (b"abc", 4), (b"", 3)])
def test_another_file_is_refused_without_its_content(
    tmp_path: Path, content: bytes, size: int
) -> None:
    (tmp_path / "f").write_bytes(content)
    digest = hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(TableError, match=f"tampered.*{size} bytes whose sha256 is {digest}"):
        verified(tmp_path / "f", size=size, digest=digest)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"No such file.*absent"):
        verified(tmp_path / "absent", size=1, digest="")
