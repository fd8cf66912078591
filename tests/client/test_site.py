import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.site import open_site
from client.site_keys import KEY_FILE, site_key
from common.errors import Refusal, SettingsError, TableError
from common.study import Study, read_study
from tests.hospital import Node, hospital


@pytest.fixture
def study(wards: Callable[..., dict[str, Any]]) -> Study:
    return read_study(Path(wards()["study"]))


@pytest.fixture
def ash(wards: Callable[..., dict[str, Any]]) -> pd.DataFrame:
    """The table of ward Ash, of its own patients only."""
    table = pd.read_csv(wards()["data"])
    return table[table["site"] == "Ash"].drop(columns="site")


@pytest.fixture
def node(study: Study, ash: pd.DataFrame, tmp_path: Path) -> Node:
    return hospital(tmp_path / "ash", study, ash, name="Ash")


def test_a_hospital_is_opened_from_its_own_files_and_nothing_the_coordinator_says(
    node: Node, study: Study
) -> None:
    elsewhere: Node = {"dataset": "synthetic", "study": "elsewhere.toml", "data": "elsewhere.csv"}
    opened = open_site(node, elsewhere, study.id)
    assert opened.study == study
    assert opened.site.name == "Ash"
    assert [task.name for task in opened.site.tasks] == ["gout", "anaemia"]
    assert len(opened.site.tasks[0].y) == 60
    assert opened.learner.algorithm.name == "maml"


def test_the_sites_key_is_made_once_for_its_owner_only(node: Node, study: Study) -> None:
    folder = Path(str(node["node"])) / "state"
    key = open_site(node, {}, study.id).site.key
    path = folder / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key == path.read_bytes() == site_key(folder)
    assert len(key) == 32


def test_two_hospitals_never_share_a_key(tmp_path: Path) -> None:
    assert site_key(tmp_path / "a") != site_key(tmp_path / "b")


def test_a_key_that_others_can_read_or_that_is_cut_is_refused(tmp_path: Path) -> None:
    site_key(tmp_path)
    path = tmp_path / KEY_FILE
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="read by others"):
        site_key(tmp_path)
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="damaged"):
        site_key(tmp_path)


def test_a_node_without_a_folder_is_refused(study: Study) -> None:
    with pytest.raises(SettingsError, match="node is not set"):
        open_site({}, {}, study.id)


def test_a_hospital_without_any_task_is_refused(
    study: Study, ash: pd.DataFrame, tmp_path: Path
) -> None:
    node = hospital(tmp_path / "ash", study, ash[:1], name="Ash")
    with pytest.raises(TableError):
        open_site(node, {}, study.id)


def test_a_stricter_rule_counts_at_once(node: Node, study: Study) -> None:
    open_site(node, {}, study.id)
    path = Path(str(node["node"])) / "site.toml"
    path.write_text(path.read_text().replace("unprotected = true", "unprotected = false"))
    with pytest.raises(Refusal, match="protects no patient"):
        open_site(node, {}, study.id)
