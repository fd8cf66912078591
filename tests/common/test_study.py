from pathlib import Path
from typing import Any

import pytest

from common.errors import SettingsError
from common.study import Study, canonical_json, make_study, read_study, study_toml


def settings(**changes: Any) -> dict[str, Any]:
    features = [{"name": "age", "usual": [20, 80]}]
    return {"name": "s", "features": features, "tasks": [{"name": "t", "column": "y"}]} | changes


def test_a_study_written_as_toml_reads_back_equal_with_the_same_id(
    ward_study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study_toml(ward_study))
    again = read_study(path)
    assert again == ward_study
    assert again.id == ward_study.id


def test_the_id_changes_with_any_setting_and_not_with_the_order_of_keys() -> None:
    study = make_study(settings(), where="test")
    assert make_study(dict(reversed(settings().items())), where="test").id == study.id
    assert make_study(settings(server={"meta_lr": 0.004}), where="test").id != study.id


def test_defaults_written_out_do_not_change_the_id() -> None:
    study = make_study(settings(), where="test")
    assert make_study(settings(model={"hidden": 64}), where="test").id == study.id
    assert '"hidden":64' in canonical_json(study)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"server": {"rounds": 0}}, "server.rounds"),
        ({"server": {"quorum": 1.5}}, "server.quorum"),
        ({"algorithm": {"inner_lr": float("nan")}}, "algorithm.inner_lr"),
        ({"features": []}, "features"),
        ({"features": [{"name": "age"}, {"name": "age"}]}, "feature age is listed twice"),
        ({"features": [{"name": "age", "usual": [3, 3]}]}, "usual range of age is empty"),
        ({"features": [{"name": "age", "log": True, "usual": [-1, 3]}]}, "reaches -1"),
        ({"features": [{"name": "cp", "kind": "category"}]}, "cp needs categories"),
        ({"tasks": [{"name": "t", "column": "age"}]}, "takes its label from a feature"),
        ({"tasks": [{"name": "t", "column": "y", "forbidden": ["tsh"]}]}, "forbids tsh"),
        ({"sites": [{"name": "A", "weight": -1}]}, "weight"),
        ({"evaluation": {"metric_std": 0}}, "evaluation.metric_std"),
        ({"sites": [{"name": "A", "patients": 9, "classes": {"u": [1, 1]}}]}, "classes of u"),
        ({"sites": [{"name": "A", "patients": 9, "classes": {"t": [5, 5]}}]}, "10 > 9 patients"),
        ({"sites": [{"name": "A", "patients": 9, "classes": {"t": [-1, 5]}}]}, "classes"),
        ({"sites": [{"name": "A"}], "evaluation": {"metric_releases": 1}}, "that A declares"),
    ],
)
def test_a_bad_setting_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as refusal:
        make_study(settings(**changes), where="study.toml")
    assert "\n" not in str(refusal.value)
    assert "study.toml" in str(refusal.value)


@pytest.mark.parametrize("content", [None, "rounds = = 3", b"\xff\xfe"])
def test_an_unreadable_file_is_refused_with_its_name(
    content: str | bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=r"study\.toml"):
        read_study(path)


@pytest.mark.parametrize("prevalence", [[0.4, 0.1], [-0.1, 0.5], [0.5, 1.5], [0.2, 0.2]])
def test_an_expected_prevalence_is_a_range_of_shares(prevalence: list[float]) -> None:
    task = {"name": "gout", "column": "gout", "prevalence": prevalence}
    with pytest.raises(SettingsError, match="prevalence of gout is no range of shares"):
        make_study({"name": "s", "features": [{"name": "age"}], "tasks": [task]}, where="test")
