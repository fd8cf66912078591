"""The ONNX file computes what torch computes, or is not written."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import NonFiniteError
from server.publishing import exporting
from server.publishing.exporting import export
from server.publishing.reading import open_run
from tests.publishing import NOON, holds, publish, quick_run, study_of


def test_the_onnx_file_and_torch_agree(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    quick_run(tmp_path / "run", study_of(algorithm={"name": "meta-sgd", "inner_steps": 1}))
    out = publish(tmp_path / "run", tmp_path / "out")
    assert runtime.InferenceSession(out / "network.onnx").get_inputs()[0].name == "x"
    assert str(Path(exporting.__file__).parent).encode() not in (out / "network.onnx").read_bytes()
    assert holds(out)


def test_an_onnx_file_that_does_not_agree_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr("common.onnx_files.AGREE", -1.0)
    quick_run(tmp_path / "run", study_of())
    with pytest.raises(NonFiniteError, match="something else"):
        publish(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_onnx_file_of_large_weights_agrees_up_to_rounding(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    quick_run(tmp_path / "run", study_of())
    given = open_run(tmp_path / "run")
    large = replace(given, state=replace(given.state, meta=30 * given.state.meta))
    export(large, tmp_path / "out", now=NOON)
    assert holds(tmp_path / "out")
