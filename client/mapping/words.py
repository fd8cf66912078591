"""Fixed vocabularies: marks of a missing entry, and words for yes, no and sex.

What a proposal writes into site.toml comes from these lists alone: never an entry that only a
patient could have.
"""

from collections.abc import Iterable

from client.cells import Cell, cell_of, yes_no
from client.mapping.concepts import normalised
from common.study import Feature, Value

MARKS = (
    "?",
    "-",
    "--",
    ".",
    "*",
    "unknown",
    "Unknown",
    "UNKNOWN",
    "unk",
    "missing",
    "#N/A",
    "n.a.",
)
"""Texts that mean "not known"."""
CODES = (0, -1, -9, -99, -999, -9999, 99, 999, 9999)
"""Numbers that mean it, where they cannot be measured."""

_YES = {"y", "j", "ja", "oui", "si", "positive", "pos", "present", "+"}
_NO = {"n", "nein", "non", "negative", "neg", "absent", "none"}
_MALE = {"m", "male", "man", "mann", "homme", "hombre", "maennlich", "männlich"}
_FEMALE = {"f", "w", "female", "woman", "frau", "femme", "mujer", "weiblich"}
_SEX_OF_ONE = {"male": 1, "ismale": 1, "sexmale": 1, "female": 0, "isfemale": 0, "sexfemale": 0}


def renamings(cells: Iterable[Cell], feature: Feature) -> dict[str, Value]:
    """Return what entries of a column that the study does not know are called there."""
    known = {cell_of(category): category for category in feature.categories}
    found: dict[str, Value] = {}
    for cell in cells:
        if cell in known or not isinstance(cell, str) or yes_no(cell) is not None:
            continue
        value = _of_binary(cell, feature) if feature.kind == "binary" else _of_sex(cell, known)
        if value is not None:
            found[cell] = value
    return found


def check_codes(feature: Feature, cells: Iterable[Cell]) -> list[str]:
    """Return what to check where a sex is coded by 0 and 1: no number says which is which."""
    one = _SEX_OF_ONE.get(normalised(feature.name))
    if feature.kind != "binary" or one is None or 1.0 not in set(cells):
        return []
    return [f"check that 1 means {'male' if one else 'female'} here"]


def _of_binary(cell: str, feature: Feature) -> Value | None:
    word = cell.lower()
    if word in _YES or word in _NO:
        return int(word in _YES)
    one = _SEX_OF_ONE.get(normalised(feature.name))
    if one is None or word not in _MALE | _FEMALE:
        return None
    return one if word in _MALE else 1 - one


def _of_sex(cell: str, known: dict[Cell, Value]) -> Value | None:
    """Return the study's category that is the same sex in other words."""
    for words in (_MALE, _FEMALE):
        if cell.lower() in words:
            return next((v for c, v in known.items() if str(c).lower() in words), None)
    return None
