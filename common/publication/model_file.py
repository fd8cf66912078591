"""model.json: what the tensors of a published initialization are, and what the inputs mean."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.privacy.masking.statements import Hex32
from common.publication.manifest import Count
from common.study_sections import Name, Part

Floats = NDArray[np.float32]
LAYERS = ("0.weight", "0.bias", "2.weight", "2.bias")
"""The tensors of the reference network, in the order of `common.models.perceptron`."""


class TensorShape(Part):
    """Of one tensor of initialization.safetensors, float32."""

    name: Name
    shape: tuple[Count, ...]


class Record(Part):
    """Of rounds.jsonl: whose it is, and how many attempts and closed rounds it holds."""

    study: Hex32
    sha256: Hex32
    attempts: Count
    rounds: Count


class ModelFile(Part):
    """See the module.

    inputs: names of the network's input columns, in order, as `common/features.py` encodes them.
    outputs: the logits' names. tensors: in the order of the study's vector theta, whose SHA-256
    (float32, little-endian) is theta_sha256. adapt: whether `wardround adapt` takes the folder.
    """

    version: Literal[1] = 1
    study: Hex32
    name: Name
    finished: bool
    rounds: Count
    planned: Count
    algorithm: Name
    inner_lr: float
    inner_steps: Count
    options: dict[str, float]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    hidden: Count
    tensors: tuple[TensorShape, ...]
    theta_sha256: Hex32
    record: Record
    tasks: tuple[Name, ...]
    versions: dict[str, str]
    adapt: bool = False


def forward(tensors: Mapping[str, Floats], x: Floats) -> NDArray[np.float64]:
    """Return the reference network's logits [n, 2] of inputs x [n, inputs], in float64."""
    weight_in, bias_in, weight_out, bias_out = (tensors[n].astype(np.float64) for n in LAYERS)
    hidden = np.maximum(x.astype(np.float64) @ weight_in.T + bias_in, 0.0)
    logits: NDArray[np.float64] = hidden @ weight_out.T + bias_out
    return logits
