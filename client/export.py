"""The personal model as an ONNX file, for programs that have no torch.

Input `x`, float32 [n, inputs], encoded by the study (common/features.py); output `probability`,
float32 [n]. The file contains the support: it is patient data.
"""

import logging
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import NonFiniteError
from common.personal.predictor import Predictor
from common.randomness import generator

EXTRA = "the extra is not installed: pip install 'wardround[onnx]'"
AGREE, ROWS = 1e-5, 257


class NotExportable(Exception):
    """There is no ONNX file; the message says why."""


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
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise NotExportable(EXTRA) from None
    data = _written(_Single(predictor), support.float())
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    noise = generator("onnx").standard_normal((ROWS, support.shape[1])).astype(np.float32)
    for rows in (noise, noise[:1], support.float().numpy()):
        (found,) = session.run(None, {"x": rows})
        with torch.inference_mode():
            expected = predictor(torch.from_numpy(rows)).numpy()
        if found.shape != expected.shape or not np.abs(found - expected).max() <= AGREE:
            raise NonFiniteError(
                "the ONNX file predicts something else than the model",
                where="model.onnx",
                remedy="uninstall onnxruntime to go without it, and report this",
            )
    return data


def _written(module: nn.Module, rows: Tensor) -> bytes:
    # Two rows at least: of one row, torch would take the number for a constant.
    example = rows if len(rows) > 1 else rows.repeat(2, 1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on its own ways
            program = torch.onnx.export(
                module,
                (example,),
                input_names=["x"],
                output_names=["probability"],
                dynamic_shapes=({0: torch.export.Dim("patients")},),
                dynamo=True,
                verbose=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise NotExportable(f"torch could not export it: {type(error).__name__}") from error
    if program is None:
        raise NotExportable("torch exported nothing")
    proto = program.model_proto
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.functions):
        del part.metadata_props[:]  # where on this machine each line of code stands
    data: bytes = proto.SerializeToString()
    return data
