"""From a patient's measured values to the model's input: scaling, missingness, forbidden columns.

Scaling uses the study's public ranges only, so no patient of any site, least of all one of a
meta-test, has a part in it. A missing value becomes 0, the middle of its range, and an indicator
column tells the model that it was measured (1) or not (0).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from common.study import Feature, TaskRule

Floats = NDArray[np.float32]


def encode(values: Mapping[str, NDArray[np.float64]], features: Sequence[Feature]) -> Floats:
    """Return the inputs [n, inputs] of n patients.

    values: one array [n] a feature, NaN where missing; a category is its index in the study's list.
    """
    columns = [column for f in features for column in _encode_one(values[f.name], f)]
    return np.stack(columns, axis=1).astype(np.float32)


def input_names(features: Sequence[Feature]) -> list[str]:
    """Return the name of each input column, in order: `tsh`, `tsh measured`, `cp = 2`."""
    return [name for f in features for name in _names(f)]


def num_inputs(features: Sequence[Feature]) -> int:
    """Return the number of input columns."""
    return len(input_names(features))


def allowed_inputs(features: Sequence[Feature], task: TaskRule) -> NDArray[np.bool_]:
    """Return which inputs [inputs] the task may see; a forbidden feature hides its mask too."""
    return np.array([f.name not in task.forbidden for f in features for _ in _names(f)])


def plausible(values: NDArray[np.float64], feature: Feature) -> NDArray[np.float64]:
    """Return values [n] with those outside the feature's plausible range as NaN, missing."""
    low, high = feature.plausible or (-np.inf, np.inf)
    return np.where((values >= low) & (values <= high), values, np.nan)


def _names(feature: Feature) -> list[str]:
    if feature.kind == "category":
        return [f"{feature.name} = {value}" for value in feature.categories]
    return [feature.name] + [f"{feature.name} measured"] * feature.may_be_missing


def _encode_one(values: NDArray[np.float64], feature: Feature) -> list[NDArray[np.float64]]:
    if feature.kind == "category":
        return [np.where(values == i, 1.0, 0.0) for i in range(len(feature.categories))]
    values = plausible(values, feature)
    measured = ~np.isnan(values)
    scaled = values - 0.5 if feature.kind == "binary" else _scale(values, feature)
    column = np.where(measured, scaled, 0.0)
    return [column, measured.astype(float)] if feature.may_be_missing else [column]


def _scale(values: NDArray[np.float64], feature: Feature) -> NDArray[np.float64]:
    """Return values so that the usual range becomes [-2, 2], cut off at -10 and 10."""
    low, high = np.log1p(feature.usual) if feature.log else feature.usual
    if feature.log:
        values = np.log1p(np.maximum(values, 0.0))
    return np.clip(4 * (values - (low + high) / 2) / (high - low), -10.0, 10.0)
