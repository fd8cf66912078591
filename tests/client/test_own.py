from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from client.own import choose_study, find_task, read_labelled, read_unlabelled
from common.errors import SettingsError, TableError
from common.features import input_names
from common.personal.portfolio import Portfolio
from common.study import Study, study_toml

Table = Callable[..., Path]


def changed(study: Study, folder: Path, **change: Any) -> Path:
    first = study.features[0].model_copy(update=change)
    other = study.model_copy(update={"features": (first, *study.features[1:])})
    path = folder / "changed.toml"
    path.write_text(study_toml(other))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"usual": (10.0, 80.0)}, "feature age differs from the model's in usual"),
        ({"log": True}, "feature age differs from the model's in log"),
        ({"name": "years"}, "feature years stands where the model has age"),
    ],
)
def test_a_study_with_other_features_is_refused_by_the_first_difference(
    change: dict[str, Any], said: str, portfolio: Portfolio, clinic_study: Study, tmp_path: Path
) -> None:
    path = changed(clinic_study, tmp_path, **change)
    with pytest.raises(SettingsError, match=said):
        choose_study(portfolio, path, where="model")


def test_a_study_with_one_feature_less_is_refused(
    portfolio: Portfolio, clinic_study: Study, tmp_path: Path
) -> None:
    less = clinic_study.model_copy(
        update={"features": clinic_study.features[:2], "tasks": clinic_study.tasks[:1]}
    )
    (tmp_path / "less.toml").write_text(study_toml(less))
    with pytest.raises(SettingsError, match="feature sex is in one study only"):
        choose_study(portfolio, tmp_path / "less.toml", where="model")


def test_a_study_may_name_a_new_task_but_not_label_it_by_a_feature(
    portfolio: Portfolio, clinic_study: Study, tmp_path: Path
) -> None:
    new = clinic_study.tasks[0].model_copy(update={"name": "scurvy", "column": "scurvy"})
    path = tmp_path / "new.toml"
    path.write_text(study_toml(clinic_study.model_copy(update={"tasks": (new,)})))
    study = choose_study(portfolio, path, where="model")
    assert find_task(study, "scurvy", where="test").column == "scurvy"
    path.write_text(path.read_text().replace('column = "scurvy"', 'column = "marker"'))
    with pytest.raises(SettingsError, match="takes its label from a feature, marker"):
        choose_study(portfolio, path, where="model")


def test_an_unknown_task_is_refused_with_those_that_there_are(clinic_study: Study) -> None:
    with pytest.raises(SettingsError, match=r"no task scurvy.*gout, anaemia"):
        find_task(clinic_study, "scurvy", where="model")


def test_patients_without_a_label_are_no_support_and_other_labels_are_not_needed(
    table: Table, clinic_study: Study
) -> None:
    gout = [1, 0, None, None, 1, 0]
    own = read_labelled(table(6, gout=gout, anaemia=None), clinic_study, clinic_study.tasks[0])
    assert own.names.tolist() == ["p000", "p001", "p004", "p005"]
    assert own.y.tolist() == [1, 0, 1, 0]


def test_patients_of_one_class_are_read_but_none_at_all_is_refused(
    table: Table, clinic_study: Study
) -> None:
    rule = clinic_study.tasks[0]
    assert read_labelled(table(6, gout=0), clinic_study, rule).y.tolist() == [0] * 6
    with pytest.raises(TableError, match="no patient has a label in column gout"):
        read_labelled(table(6, gout=np.nan), clinic_study, rule)


def test_forbidden_features_are_blank_in_labelled_and_unlabelled_patients(
    table: Table, clinic_study: Study
) -> None:
    rule, names = clinic_study.tasks[1], input_names(clinic_study.features)
    blank = [i for i, name in enumerate(names) if name.startswith("sex")]
    assert blank
    for own in (
        read_labelled(table(), clinic_study, rule),
        read_unlabelled(table(gout=None, anaemia=None), clinic_study, rule),
    ):
        assert not own.x[:, blank].any()
        assert own.x.any()


def test_the_order_of_rows_does_not_change_the_support(
    table: Table, clinic_study: Study, tmp_path: Path
) -> None:
    path, rule = table(), clinic_study.tasks[0]
    pd.read_csv(path).sample(frac=1, random_state=1).to_csv(tmp_path / "mixed.csv", index=False)
    one, other = (read_labelled(p, clinic_study, rule) for p in (path, tmp_path / "mixed.csv"))
    assert one.names.tolist() == other.names.tolist()
    assert torch.equal(one.x, other.x)
    assert np.array_equal(one.y, other.y)


def test_of_several_sites_one_must_be_chosen(table: Table, clinic_study: Study) -> None:
    path, rule = table(6, site=["north", "south"] * 3), clinic_study.tasks[0]
    with pytest.raises(TableError, match=r"column site names 2 sites.*--site"):
        read_labelled(path, clinic_study, rule)
    own = read_labelled(path, clinic_study, rule, site="south")
    assert own.names.tolist() == ["p001", "p003", "p005"]
    with pytest.raises(TableError, match="no row of west"):
        read_labelled(path, clinic_study, rule, site="west")
    with pytest.raises(TableError, match="no column site"):
        read_labelled(table(6), clinic_study, rule, site="south")


def test_a_table_to_predict_for_needs_its_features_and_patients(
    table: Table, clinic_study: Study
) -> None:
    for column in ("marker", "patient_id"):
        with pytest.raises(TableError, match=f"lacks {column}"):
            read_unlabelled(table(**{column: None}), clinic_study, clinic_study.tasks[0])
    with pytest.raises(TableError, match="that the study does not list"):
        read_unlabelled(table(sex="X"), clinic_study, clinic_study.tasks[0])
