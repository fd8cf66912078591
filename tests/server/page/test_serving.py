"""The command: where it serves, whom it lets rule, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from common.errors import RunFolderError, SettingsError
from server.page.commands import page
from server.page.serving import SHORTEST_TOKEN, address_of, bind, token_in
from tests.page_run import RunFolder

PROGRAM = "import sys, typer; from server.page.commands import page; typer.run(page)"


@pytest.fixture
def process(run: RunFolder, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    run.rounds(1, 3)
    arguments = ("--folder", str(run.folder), "--port", "0", "--token-file", str(tmp_path / "t"))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    ) as started:
        yield started
        started.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to_though_somebody_watches(
    number: int, process: subprocess.Popen[str]
) -> None:
    url = url_of(process)
    assert url.startswith("http://127.0.0.1:")
    with httpx.stream("GET", f"{url}events", timeout=20) as answer:
        lines = answer.iter_lines()
        while not next(lines).startswith("data"):
            pass
        told = time.monotonic()
        process.send_signal(number)
        for _ in lines:
            pass  # the stream ends, it is not cut off: httpx would raise
    assert process.wait(10) == 0
    assert time.monotonic() - told < 5
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_it_brings_no_torch_into_its_process() -> None:
    check = "import sys; import server.page.app; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    env = os.environ | {"PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", check], env=env, check=False).returncode == 0


def test_a_token_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "token"
    token = token_in(path)
    assert len(token) >= SHORTEST_TOKEN
    assert path.stat().st_mode & 0o777 == 0o600
    assert token_in(path) == token


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token_in(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        token_in(path)


@pytest.mark.parametrize("text", ["", "short", "ü" * SHORTEST_TOKEN])
def test_a_token_that_is_no_secret_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="a token has"):
        token_in(path)


def test_a_port_in_use_is_said_with_a_remedy() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://127.0.0.1:{port}/"
        with pytest.raises(SettingsError, match="--port"):
            bind("127.0.0.1", port)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such folder"):
        page(folder=tmp_path / "none", port=0, token_file=None, study=None, host="", name=None)


def test_a_folder_without_a_study_needs_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"study\.toml"):
        page(folder=tmp_path, port=0, token_file=None, study=None, host="127.0.0.1", name=None)
