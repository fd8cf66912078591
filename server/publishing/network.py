"""The reference network's forward pass as an ONNX file, which no patient has a part in.

Input `x`, float32 [n, inputs], encoded by the study; output `logits`, float32 [n, 2].
"""

import numpy as np
import torch
from torch import Tensor, nn

from common.algorithms.base import theta_of
from common.errors import NonFiniteError
from common.features import num_inputs
from common.models import perceptron
from common.onnx_files import ROWS, agree, require_extra, run, written
from common.publication.manifest import ONNX
from common.randomness import generator
from server.publishing.reading import Given


def network(given: Given) -> bytes:
    """Return the file, run by onnxruntime and compared with torch on random inputs.

    Raises:
        NotExportable: the extra is not installed, or torch cannot express the network.
        NonFiniteError: the file computes something else.
    """
    require_extra()
    module = _module(given)
    inputs = num_inputs(given.study.features)
    x = generator("network").standard_normal((ROWS, inputs)).astype(np.float32)
    about = {"study": given.study.id, "finished": str(given.finished).lower()}
    data = written(module, torch.from_numpy(x), output="logits", about=about)
    for rows in (x, x[:1]):
        with torch.inference_mode():
            expected: Tensor = module(torch.from_numpy(rows))
        if not agree(run(data, rows), expected.numpy()):
            raise NonFiniteError(
                "the ONNX file computes something else than the network",
                where=ONNX,
                remedy="uninstall onnxruntime to go without it, and report this",
            )
    return data


def _module(given: Given) -> nn.Module:
    theta = theta_of(given.meta)
    module = perceptron(num_inputs(given.study.features), hidden=given.study.model.hidden)
    module.load_state_dict(theta)
    return module.eval()
