from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from client.adapting import adapt
from client.own import read_unlabelled
from client.personal import Personal, fit
from client.predict import UNLIKE, Prediction, as_csv, predict, predictions, write
from common.errors import SettingsError, TableError

Table = Callable[..., Path]


@pytest.fixture
def adapted(model: Path, table: Table, tmp_path: Path, without_onnx: None) -> Path:
    adapt(model, table(20), "gout", tmp_path / "personal")
    return tmp_path / "personal"


def test_a_patient_gets_the_same_prediction_whatever_the_other_rows_are(
    adapted: Path, table: Table, tmp_path: Path
) -> None:
    path = table(37, name="new.csv", seed=1, gout=None, anaemia=None)
    together = {row.patient: row for row in predict(adapted, path)}
    frame = pd.read_csv(path)
    frame.sample(frac=1, random_state=3).to_csv(tmp_path / "mixed.csv", index=False)
    frame.iloc[[5]].to_csv(tmp_path / "alone.csv", index=False)
    for other in ("mixed.csv", "alone.csv"):
        for row in predict(adapted, tmp_path / other):
            assert row == together[row.patient]
    assert len({row.probability for row in together.values()}) > 30


def test_predictions_keep_the_order_of_the_rows_and_ignore_labels(
    adapted: Path, table: Table
) -> None:
    path = table(9, name="new.csv", seed=1)
    rows = predict(adapted, path)
    assert [row.patient for row in rows] == [f"p{i:03d}" for i in range(9)]
    assert rows == predict(adapted, table(9, name="flipped.csv", seed=1, gout="unknown"))


def test_a_patient_unlike_the_support_is_abstained_on_with_the_reason(
    personal: Callable[..., Personal], table: Table
) -> None:
    women = personal(20, sex="F")
    found = fit(women)
    own = read_unlabelled(table(4, sex=["F", "F", "M", "M"]), women.study, women.task)
    unlike = found.predictor.unlikeness(own.x)
    assert unlike[:2].max() < unlike[2:].min()
    between = float(unlike[:2].max() + unlike[2:].min()) / 2
    found = replace(found, reference=replace(found.reference, familiar=between))
    rows = predictions(women, found, own.names, own.x, coverage=0.9)
    assert [row.abstain for row in rows] == [False, False, True, True]
    assert [row.reason for row in rows] == ["", "", UNLIKE, UNLIKE]


def test_more_coverage_never_shrinks_a_set_and_two_labels_are_no_abstention(
    adapted: Path, table: Table
) -> None:
    path = table(30, name="new.csv", seed=2)
    size = {"neither": 0, "yes": 1, "no": 1, "yes or no": 2}
    little, much = (predict(adapted, path, coverage=c) for c in (0.5, 0.98))
    pairs = zip(little, much, strict=True)
    sizes = np.array([[size[row.prediction_set] for row in pair] for pair in pairs])
    assert (sizes[:, 0] <= sizes[:, 1]).all()
    assert sizes[:, 0].sum() < sizes[:, 1].sum()
    assert any(row.prediction_set == "yes or no" and not row.abstain for row in much)


def test_a_table_whose_columns_do_not_fit_is_refused(adapted: Path, table: Table) -> None:
    with pytest.raises(TableError, match="lacks marker"):
        predict(adapted, table(4, name="new.csv", marker=None))


def test_the_csv_has_a_line_a_patient_and_its_owner_alone_can_read_it(tmp_path: Path) -> None:
    rows = [Prediction("a,b", 0.25, "no", abstain=True, reason=UNLIKE)]
    text = as_csv(rows)
    assert text.splitlines() == [
        "patient,probability,prediction_set,abstain,reason",
        f'"a,b",0.250000,no,true,{UNLIKE}',
    ]
    write(tmp_path / "p.csv", text)
    assert (tmp_path / "p.csv").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="cannot be written"):
        write(tmp_path / "no" / "p.csv", text)
