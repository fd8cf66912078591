import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from client.executor.commands import status
from client.executor.place import holding, runs
from client.executor.status import Status, count, in_words, status_file, summary
from common.errors import SettingsError
from tests.importing import modules_after

NOW = 1_000_000.0
BOTH = ("supernode", "executor")


@pytest.fixture
def node(tmp_path: Path) -> Callable[..., Path]:
    """Write a status, `age` seconds old, of some parts."""

    def write(parts: tuple[str, ...] = BOTH, *, age: float = 1, **changes: Any) -> Path:
        state = tmp_path / "state"
        (state / "supernode").mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "contact": NOW - 3,
            "ready": True,
            "versions": {"flwr": "1.41.0"},
        } | changes
        Status(42, parts, NOW - 7200, **values).write(status_file(state, parts), NOW - age)
        return tmp_path

    return write


def told(folder: Path, parts: tuple[str, ...] = BOTH) -> dict[str, Any]:
    with holding(folder / "state", parts):
        return summary(folder, NOW)


def test_up_and_in_contact_is_connected(node: Callable[..., Path]) -> None:
    about = told(
        node(
            answered=5,
            refused={"wrong-bundle": 2},
            last_round="9",
            last_request=NOW - 61,
            last_error="wrong-bundle",
        )
    )
    assert about["state"] == "connected"
    words = in_words(about, NOW)
    for text in (
        "The node is connected.",
        "Up for 2 h, pid 42.",
        "Last contact with the coordinator: 3 s ago.",
        "Requests answered: 5, refused 2 (wrong-bundle 2).",
        "Last request: 1 min ago (round 9).",
        "Last reason for a refusal: wrong-bundle.",
        "Versions: flwr 1.41.0.",
    ):
        assert text in words


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"contact": NOW - 80}, "not connected"),
        ({"trouble": "no-connection"}, "not connected"),
        ({"ready": False}, "not connected"),
        ({"age": 31}, "not running"),
        ({"parts": ("executor",)}, "not running"),
    ],
)
def test_what_is_not_well_is_said(
    node: Callable[..., Path], changes: dict[str, Any], state: str
) -> None:
    assert told(node(**changes))["state"] == state


def test_a_file_whose_writer_is_gone_says_not_running(node: Callable[..., Path]) -> None:
    about = summary(node(), NOW)
    assert about["state"] == "not running"
    assert in_words(about, NOW).splitlines()[0] == "The node is not running."


def test_parts_that_run_apart_are_put_together(node: Callable[..., Path]) -> None:
    node(("executor",), contact=0.0, answered=4)
    folder = node(("supernode",), contact=NOW - 2, ready=False)
    about = told(folder)
    assert (about["state"], about["answered"], about["contact"]) == ("connected", 4, NOW - 2)
    alone = told(folder, ("supernode",))
    assert (alone["state"], alone["missing"]) == ("not running", ["executor"])
    assert "Not running: executor." in in_words(alone, NOW)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"written": "x", "schema": 1}', b"\xff"])
def test_a_damaged_file_is_no_status(node: Callable[..., Path], content: bytes) -> None:
    folder = node()
    status_file(folder / "state", BOTH).write_bytes(content)
    assert told(folder)["state"] == "not running"


def test_counts_of_codes_are_bounded() -> None:
    counter: dict[str, int] = {}
    for number in range(10_000):
        count(counter, f"code-{number}")
    assert len(counter) == 65
    assert counter["other"] == 10_000 - 64


def test_a_part_is_held_once(tmp_path: Path) -> None:
    (tmp_path / "supernode").mkdir()
    assert not runs(tmp_path, "executor")
    with holding(tmp_path, ("executor",)):
        assert runs(tmp_path, "executor")
        assert not runs(tmp_path, "supernode")
        with (
            pytest.raises(SettingsError, match="executor runs on this folder already"),
            holding(tmp_path, BOTH),
        ):
            pass
        with holding(tmp_path, ("supernode",)):
            assert runs(tmp_path, "supernode")
    assert not runs(tmp_path, "executor")


def test_the_command_ends_with_0_only_if_connected(
    node: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = node()
    monkeypatch.setattr(time, "time", lambda: NOW)
    with holding(folder / "state", BOTH):
        status(folder=folder)
        assert "The node is connected." in capsys.readouterr().out
        status(folder=folder, as_json=True)
        assert json.loads(capsys.readouterr().out)["state"] == "connected"
    with pytest.raises(typer.Exit) as end:
        status(folder=folder)
    assert end.value.exit_code == 1


def test_the_status_is_its_owners_only(node: Callable[..., Path]) -> None:
    path = status_file(node() / "state", BOTH)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_asking_for_the_status_is_quick_for_nothing_heavy_is_imported() -> None:
    modules = modules_after("import client.executor.status")
    assert not {"torch", "flwr", "structlog", "pandas"} & modules
    assert "pydantic" in modules  # for the parts' names; 0.2 s


def test_one_part_is_looked_at_alone(node: Callable[..., Path]) -> None:
    node(("executor",), contact=0.0)
    folder = node(("supernode",), contact=NOW - 2, ready=False)
    for part in BOTH:
        with holding(folder / "state", (part,)):
            assert summary(folder, NOW, wanted=(part,))["state"] == "connected"
            assert summary(folder, NOW)["state"] == "not running"
    node(("executor",), contact=NOW, ready=False)
    with holding(folder / "state", BOTH):
        assert summary(folder, NOW, wanted=("executor",))["state"] == "not connected"
        assert summary(folder, NOW, wanted=("supernode",))["state"] == "connected"
