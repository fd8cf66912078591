import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from client import export as module
from client.adapting import adapt
from client.export import NotExportable, export
from client.own import read_labelled
from client.personal import Fit, Personal, read_personal
from common.errors import NonFiniteError

Fitted = tuple[Personal, Fit]


def test_the_onnx_file_predicts_what_predict_does(
    model: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = adapt(model, table(12), "gout", tmp_path / "personal")
    path = tmp_path / "personal" / "model.onnx"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(Path(module.__file__).parent).encode() not in path.read_bytes()
    personal = read_personal(tmp_path / "personal")
    own = read_labelled(table(33, name="b.csv", seed=4), personal.study, personal.task)
    (found,) = runtime.InferenceSession(path).run(None, {"x": own.x.numpy()})
    with torch.inference_mode():
        expected = made.fitted.predictor(own.x).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_that_disagrees_is_never_written(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(module, "AGREE", -1.0)
    with pytest.raises(NonFiniteError, match="something else"):
        export(fitted[1].predictor, fitted[0].x)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_without_the_extra_adapt_says_so_and_goes_on(
    library: str,
    model: Path,
    table: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    made = adapt(model, table(12), "gout", tmp_path / "personal")
    assert "pip install 'wardround[onnx]'" in made.about["onnx"]
    assert not (tmp_path / "personal" / "model.onnx").exists()
    assert (tmp_path / "personal" / "personal.json").exists()


def test_what_torch_cannot_express_is_said(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(NotExportable, match="could not export it"):
        export(fitted[1].predictor, fitted[0].x)
