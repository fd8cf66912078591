import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.site import open_site
from client.site_keys import KEY_FILE, site_key
from common.errors import PrivacyError, SettingsError, TableError

Node = dict[str, str | int | float | bool]


@pytest.fixture
def node(wards: Callable[..., dict[str, Any]], tmp_path: Path) -> Node:
    """The node config of ward Ash, with a table of its own patients only."""
    settings = wards()
    table = pd.read_csv(settings["data"])
    own = tmp_path / "ash.csv"
    table[table["site"] == "Ash"].drop(columns="site").to_csv(own, index=False)
    state = str(tmp_path / "state")
    return {
        "study": settings["study"],
        "data": str(own),
        "site": "Ash",
        "state": state,
        "unprotected": True,
    }


def test_a_hospital_is_opened_from_its_own_files_and_nothing_the_coordinator_says(
    node: Node,
) -> None:
    elsewhere: Node = {"dataset": "synthetic", "study": "elsewhere.toml", "data": "elsewhere.csv"}
    study, site, learner, _ = open_site(node, elsewhere)
    assert study.name == "wards"
    assert site.name == "Ash"
    assert [task.name for task in site.tasks] == ["gout", "anaemia"]
    assert len(site.tasks[0].y) == 60
    assert learner.algorithm.name == "maml"


def test_the_sites_key_is_made_once_for_its_owner_only(node: Node) -> None:
    folder = Path(str(node["state"]))
    key = open_site(node, {}).site.key
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


@pytest.mark.parametrize("missing", ["study", "data", "site", "state"])
def test_a_node_that_lacks_a_setting_says_which(missing: str, node: Node) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not set"):
        open_site({k: v for k, v in node.items() if k != missing}, {})


def test_a_hospital_without_any_task_is_refused(node: Node) -> None:
    path = Path(str(node["data"]))
    pd.read_csv(path)[:1].to_csv(path, index=False)
    with pytest.raises(TableError):
        open_site(node, {})


@pytest.mark.parametrize("consent", [None, False, "yes"])
def test_a_study_that_protects_nobody_needs_the_hospitals_own_word(
    consent: bool | str | None, node: Node
) -> None:
    without = {k: v for k, v in node.items() if k != "unprotected"}
    given = without if consent is None else without | {"unprotected": consent}
    with pytest.raises(PrivacyError, match="protects no patient"):
        open_site(given, {"unprotected": True})


def test_noise_without_a_profile_is_refused_at_a_hospital(
    node: Node, wards: Callable[..., dict[str, Any]]
) -> None:
    settings = wards(privacy={"clip_norm": 1.0, "noise_multiplier": 1.0})
    with pytest.raises(PrivacyError, match="nobody would account for"):
        open_site(node | {"study": settings["study"]}, {})
