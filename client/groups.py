"""The patient groups that a study tells apart, by name."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from common.study import Feature, GroupRule, Study

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]


def group_names(values: Mapping[str, Floats], study: Study) -> Texts:
    """Return each patient's group [n]: "age < 60, sex = F", or "" if the study has no groups.

    values: one array [n] a feature, NaN where missing; a category is its index in the study's list.

    Raises:
        SettingsError: a rule names no feature, or its edges do not suit the feature's kind.
    """
    features = {f.name: f for f in study.features}
    parts = [_part(values, features.get(rule.column), rule) for rule in study.groups]
    if not parts:
        return np.full(len(values[study.features[0].name]), "")
    return np.array([", ".join(names) for names in zip(*parts, strict=True)], dtype=np.str_)


def _part(values: Mapping[str, Floats], feature: Feature | None, rule: GroupRule) -> Texts:
    """Return one division's part of the patients' group names [n]."""
    name = rule.column
    if feature is None or (feature.kind == "numeric") != bool(rule.edges):
        raise SettingsError(
            f"{name} cannot divide patients",
            where="groups",
            remedy="name a feature; edges go with a numeric one, and only with that",
        )
    index = values[name]
    if feature.kind == "numeric":
        edges = sorted(rule.edges)
        between = [f"{low:g} <= {name} < {high:g}" for low, high in pairwise(edges)]
        groups = [f"{name} < {edges[0]:g}", *between, f"{name} >= {edges[-1]:g}"]
        index = np.where(np.isnan(index), np.nan, np.digitize(index, edges))
    else:
        groups = [f"{name} = {value}" for value in feature.categories or ("no", "yes")]
    known = np.where(np.isnan(index), len(groups), index).astype(np.int64)
    return np.array([*groups, f"{name} unknown"], dtype=np.str_)[known]
