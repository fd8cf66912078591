"""The personal model as an ONNX file, for programs that have no torch.

Input `x`, float32 [n, inputs], encoded by the study (common/features.py); output `probability`,
float32 [n]. The file contains the support: it is patient data.
"""

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import NonFiniteError
from common.onnx_files import AGREE, EXTRA, ROWS, NotExportable, require_extra, run, written
from common.personal.predictor import Predictor
from common.randomness import generator

__all__ = ["EXTRA", "NotExportable", "export"]


class _Single(nn.Module):
    """A predictor that answers in float32."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, x: Tensor) -> Tensor:
        p: Tensor = self.predictor(x).float()
        return p


def export(predictor: Predictor, support: Tensor) -> bytes:
    """Return the ONNX file of a predictor, checked by onnxruntime on random inputs and the support.

    Raises:
        NotExportable: the extra is not installed, or torch cannot express a part of the model.
        NonFiniteError: the file predicts something else than the model.
    """
    require_extra()
    data = written(_Single(predictor), support.float(), output="probability")
    noise = generator("onnx").standard_normal((ROWS, support.shape[1])).astype(np.float32)
    for rows in (noise, noise[:1], support.float().numpy()):
        found = run(data, rows)
        with torch.inference_mode():
            expected = predictor(torch.from_numpy(rows)).numpy()
        if found.shape != expected.shape or not np.abs(found - expected).max() <= AGREE:
            raise NonFiniteError(
                "the ONNX file predicts something else than the model",
                where="model.onnx",
                remedy="uninstall onnxruntime to go without it, and report this",
            )
    return data
