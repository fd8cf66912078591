"""ONNX files: written by torch, run by onnxruntime, both only where the extra is installed."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EXTRA = "the extra is not installed: pip install 'wardround[onnx]'"
AGREE, ROWS = 1e-5, 257
"""How far a file may be from the model (of outputs beyond 1, relative), on so many inputs."""


class NotExportable(Exception):
    """There is no ONNX file; the message says why."""


def require_extra() -> None:
    """Return if ONNX files can be written and run.

    Raises:
        NotExportable: the extra is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise NotExportable(EXTRA) from None


def can_run() -> bool:
    """Whether onnxruntime is installed."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


def written(
    module: nn.Module, rows: Tensor, *, output: str, about: Mapping[str, str] | None = None
) -> bytes:
    """Return the ONNX file of a module from `x` [n, inputs] to `output` [n, ...].

    rows: an example of x. about: properties of the file.

    Raises:
        NotExportable: torch cannot express a part of the module.
    """
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
                output_names=[output],
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
    for key, value in (about or {}).items():
        proto.metadata_props.add(key=key, value=value)
    data: bytes = proto.SerializeToString()
    return data


def run(data: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the one output of an ONNX file for inputs x [n, inputs]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    result: NDArray[np.float32] = found
    return result


def agree(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether outputs [n, ...] are the expected ones, but for the rounding of float32."""
    if found.shape != expected.shape:
        return False
    scale = max(1.0, float(np.abs(expected).max()))
    return bool(np.abs(found - expected).max() <= AGREE * scale)
