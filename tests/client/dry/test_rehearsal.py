"""A dry run's bytes are those that the wire carries, and it costs nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from typer.testing import CliRunner

import client.release
from client.app import app as client_app
from client.dry.fields import fields_of
from client.dry.rehearsal import rehearse
from client.gate.gate import admit
from client.identity import read_identity
from common.cli import make_app
from common.crypto import SigningKey
from common.messages import UPDATE
from common.messages.purposes import INPUT
from common.messages.wire import wire_objects
from common.study import Study, make_study
from server.app import app as server_app
from simulation.grid import InProcessGrid
from tests.conftest import ward_settings
from tests.hospital import hospital, ward, write_roster

NAMES = ("Ash", "Birch", "Cedar")
NOISE = {"clip_norm": 0.5, "noise_multiplier": 5.0, "coin": 1.0, "delta": 1e-3}
PROFILES: dict[str, dict[str, Any]] = {
    "none": {},
    "robust": NOISE | {"profile": "robust", "aggregation": "median"},
    "masked": NOISE | {"profile": "masked"},
}
SAID = {
    "none": ["hello", "update"],
    "robust": ["hello", "update"],
    "masked": [
        "hello",
        "masking_advertise",
        "masking_deal",
        "masking_input",
        "masking_confirm",
    ],
}


def table(seed: int) -> pd.DataFrame:
    return ward(f"{seed}", seed=seed)


def study_of(profile: str, **changes: Any) -> Study:
    server = {"rounds": 1, "optimizer": "sgd", "meta_lr": 0.1, "attempts": 1, "deadline_s": 5}
    sites = [{"name": name, "patients": 90} for name in NAMES]
    settings = {"sites": sites, "server": server, "privacy": PROFILES[profile]}
    return make_study(ward_settings() | settings | changes, where="test")


def federation(folder: Path, study: Study) -> dict[str, Path]:
    folders = {name: folder / name for name in NAMES}
    for i, name in enumerate(NAMES):
        hospital(folders[name], study, table(i), name=name)
    if study.privacy.profile == "masked":
        keys = {n: SigningKey(read_identity(folders[n] / "state")) for n in NAMES}
        for name in NAMES:
            write_roster(folders[name] / "roster.json", keys)
    return folders


def carried(
    folder: Path, study: Study, folders: Mapping[str, Path], *, output: str = ""
) -> dict[str, Message]:
    """Run the study's one round in process, and return what Ash has sent, by message type."""
    seen: dict[str, Message] = {}

    def watched(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        if context.node_id == 1:
            seen[message.metadata.message_type.partition(".")[2]] = reply
        return reply

    contexts = {
        i: Context(i, i, {"node": str(folders[name])}, RecordDict(), {})
        for i, name in enumerate(NAMES, start=1)
    }
    config: dict[str, str | int | float | bool] = {
        "study": str(folders["Ash"] / "study.toml"),
        "output": output,
        "roster": str(folders["Ash"] / "roster.json"),
        "resume": False,
        "keep-every": 0,
        "seed": 0,
    }
    grid = InProcessGrid(watched, contexts, serialise=True)  # type: ignore[arg-type]
    server_app(grid, Context(1, 9, {}, RecordDict(), config))
    return seen


@pytest.mark.parametrize("profile", ["none", "robust"])
def test_the_bytes_are_those_that_the_wire_carries(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.release, "fresh_key", lambda: bytes(range(32)))
    study = study_of(profile)
    folders = federation(tmp_path, study)
    rehearsed = rehearse(admit(folders["Ash"], study.id))
    sent = carried(tmp_path, study, folders)
    assert [one.message for one in rehearsed] == SAID[profile] == list(sent)
    for one in rehearsed:
        assert one.objects == wire_objects(sent[one.message].content)


def test_under_masks_all_messages_have_the_fields_and_sizes_of_the_wire(tmp_path: Path) -> None:
    study = study_of("masked")
    folders = federation(tmp_path, study)
    rehearsed = rehearse(admit(folders["Ash"], study.id))
    sent = carried(tmp_path, study, folders)
    assert [one.message for one in rehearsed] == SAID["masked"] == list(sent)
    for one in rehearsed:
        real = fields_of(one.message, sent[one.message].content, study)
        for mine, theirs in zip(one.fields, real, strict=True):
            assert mine[:4] == theirs[:4]
            assert abs(mine.bytes - theirs.bytes) <= 16 * (mine.name == "offer")


def test_under_masks_and_the_same_chance_the_input_is_the_update_plus_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two dry runs of the same noise differ by their masks only: by keys that are thrown away."""
    monkeypatch.setattr(client.release, "fresh_key", lambda: bytes(range(32)))
    study = study_of("masked")
    folders = federation(tmp_path, study)
    one, two = (rehearse(admit(folders["Ash"], study.id)) for _ in range(2))
    assert one[3].message == INPUT
    assert one[0].objects == two[0].objects
    assert one[3].objects.keys() != two[3].objects.keys()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_dry_run_pays_nothing_and_leaves_the_ledger_as_it_was(
    profile: str, tmp_path: Path
) -> None:
    study = study_of(profile)
    folder = federation(tmp_path, study)["Ash"]
    kept = {p: p.read_bytes() for p in (folder / "state").glob("ledger*") if p.suffix != ".lock"}
    rehearse(admit(folder, study.id))
    assert {p: p.read_bytes() for p in kept} == kept
    assert not (folder / "state" / "releases").exists()


def test_a_field_that_nobody_has_described_is_an_error(tmp_path: Path) -> None:
    study = study_of("robust")
    folder = federation(tmp_path, study)["Ash"]
    rehearsed = rehearse(admit(folder, study.id))
    assert all(field.reveals and field.covered for one in rehearsed for field in one.fields)
    content = RecordDict({"head": ConfigRecord({"version": 1, "loss": 0.3})})
    with pytest.raises(KeyError):
        list(fields_of(UPDATE, content, study))


def test_the_command_writes_every_object_under_its_hash_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = study_of("robust")
    folder = federation(tmp_path, study)["Ash"]
    words = ["node", "dry-run", "--folder", str(folder), "--output", "out"]
    result = CliRunner().invoke(make_app(), words, catch_exceptions=False, env={"COLUMNS": "200"})
    assert "Nothing was sent and nothing was paid." in result.stdout
    assert "noise of 5 clips" in result.stdout
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"1-hello", "2-update"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    shown = CliRunner().invoke(make_app(), [*words[:-1], "again", "--json"], catch_exceptions=False)
    sizes = {k: v for m in json.loads(shown.stdout)["messages"] for k, v in m["objects"].items()}
    assert sum(sizes.values()) == sum(path.stat().st_size for path in files)
    lines = (folder / "state" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["approved", "dry-run", "dry-run"]
