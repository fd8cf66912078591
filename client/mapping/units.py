"""Converting a column's numbers from the unit that a hospital uses to the study's.

A unit is a product of atoms with prefixes and powers, divided by others: `mg/dL`, `10*3/uL`,
`kg/m2`, `mm[Hg]`. The grammar is closed: whatever it does not know is refused, never guessed. A
study's unit comes from outside the hospital, so nothing of it is evaluated (decision 0014).
"""

import re
from collections import Counter
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from client.mapping.unit_table import (
    ANALYTES,
    ATOMS,
    PREFIXED,
    PREFIXES,
    SPELLINGS,
    TEMPERATURES,
    THINGS,
    Analyte,
)
from common.errors import SettingsError

Values = TypeVar("Values", float, NDArray[np.float64])
LONGEST = 40
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_BODY_SURFACE = re.compile(r"/\(?1\.73\.?\(?m(\^|\*\*)?2\)?\)?")
_POWER = re.compile(r"(?P<atom>.*[^\d^*+-])(\^|\*\*)?(?P<power>-?[1-3])")


class Unit(NamedTuple):
    """A unit: factor times the product of its dimensions.

    dimensions: each letter of unit_table.ATOMS with its power; a counted thing has its own name.
    zero: kelvins of the zero of a scale of temperature.
    """

    factor: float
    dimensions: frozenset[tuple[str, int]]
    zero: float = 0.0


class Conversion(NamedTuple):
    """Converted value = factor * value + offset."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        """Return whether values differ after it."""
        return self != Conversion()

    def __call__(self, values: Values) -> Values:
        """Return converted values."""
        return self.factor * values + self.offset


def conversion(
    here: str, study: str, *, concept: str = "", molar_mass: float = 0.0, where: str = "units"
) -> Conversion:
    """Return how numbers in the unit `here` become numbers in the study's.

    Args:
        here: the hospital's unit; "" says that it is the study's.
        study: the study's unit.
        concept: what is measured (client.mapping.concepts), for mass and moles.
        molar_mass: of it in g/mol, for a substance that the table does not have.
        where: the column, for errors.

    Raises:
        SettingsError: a unit is not known, or the two measure different things.
    """
    if not here or _plain(here) == _plain(study):
        return Conversion()
    if concept == "hba1c" and (found := _hba1c(_plain(here), _plain(study))):
        return found
    ours, theirs = (_unit(text, where) for text in (here, study))
    if "k" in dict(ours.dimensions) and ours.dimensions == theirs.dimensions:
        return _exact(ours.factor / theirs.factor, (ours.zero - theirs.zero) / theirs.factor)
    substance = ANALYTES.get(concept, Analyte())
    if molar_mass:
        substance = substance._replace(molar_mass=molar_mass)
    if (bridge := _bridge(ours, theirs, substance)) is None:
        raise _incompatible(here, study, concept, where)
    return _exact(ours.factor * bridge / theirs.factor)


def _exact(factor: float, offset: float = 0.0) -> Conversion:
    """Return a conversion without the dust of binary fractions: 1, not 1.0000000000000002."""
    return Conversion(float(f"{factor:.12g}"), float(f"{offset:.12g}"))


def known(text: str) -> bool:
    """Return whether a unit is one of those that can be converted."""
    return _parsed(_plain(text)) is not None


def _plain(text: str) -> str:
    """Return a unit without blanks and annotations, in one spelling of the micro sign."""
    text = "".join(text.split()).replace("\N{MICRO SIGN}", "u")
    text = text.replace("\N{GREEK SMALL LETTER MU}", "u").replace("\N{SUPERSCRIPT TWO}", "2")
    text = re.sub(r"^[x\N{MULTIPLICATION SIGN}](?=10)", "", text)
    return _BODY_SURFACE.sub("", SPELLINGS.get(text, text))


def _unit(text: str, where: str) -> Unit:
    if found := _parsed(_plain(text)):
        return found
    raise SettingsError(
        f"the unit {text[:LONGEST]!r} is not known" if text else "the study gives no unit",
        where=where,
        remedy="write it as UCUM does (mg/dL, mm[Hg], 10*3/uL, Cel), or convert at the source",
    )


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Unit | None:
    """Return what a plain unit means; lower case is tried where it means nothing as it stands."""
    if not text or len(text) > LONGEST:
        return None
    return _product(text) or _product(text.lower())


def _product(text: str) -> Unit | None:
    if text in TEMPERATURES:
        factor, zero = TEMPERATURES[text]
        return Unit(factor, frozenset({("k", 1)}), zero)
    factor, powers, things = 1.0, Counter[str](), Counter[str]()
    thousand = re.match(r"[Kk](?=/([a-z]?[Ll]|mm3)$)", text)  # K/uL: thousands in a microlitre
    for i, part in enumerate(("10*3" + text[1:] if thousand else text).split("/")):
        sign = 1 if i == 0 else -1
        bare = _ANNOTATION.sub("", part) or "1" * bool(part)  # {beats}/min is 1/min
        for term in re.split(r"(?<!\d)[.*·]", bare):
            if term in THINGS:
                things[term] += sign
            elif (atom := _atom(term)) is None or (i and not term):
                return None
            else:
                size, letters, power = atom
                factor *= size ** (sign * power)
                for letter, number in letters.items():
                    powers[letter] += sign * power * number
    dimensions = {(letter, power) for letter, power in powers.items() if power}
    # A thing that is counted in a volume or in a time is no dimension of it: beats/min is 1/min.
    return Unit(factor, frozenset(dimensions or {(t, p) for t, p in things.items() if p}))


def _atom(term: str) -> tuple[float, Counter[str], int] | None:
    """Return an atom's size, the powers of its dimensions, and the power that it stands in."""
    if not term:
        return 1.0, Counter(), 1
    term = SPELLINGS.get(term, term)
    if (size := _size(term)) is None and (match := _POWER.fullmatch(term)):
        size = _size(SPELLINGS.get(match["atom"], match["atom"]))
        return size and (*size, int(match["power"]))
    return size and (*size, 1)


def _size(term: str) -> tuple[float, Counter[str]] | None:
    if term in ATOMS:
        return ATOMS[term][0], _letters(ATOMS[term][1])
    prefixes = ("u", "mc") if term.startswith("mc") else (term[:1],)  # mcg is what nurses write
    for prefix in prefixes:
        rest = term[2:] if term.startswith("mc") and prefix == "u" else term[len(prefix) :]
        rest = SPELLINGS.get(rest, rest)
        if prefix in PREFIXES and rest in PREFIXED:
            return PREFIXES[prefix] * ATOMS[rest][0], _letters(ATOMS[rest][1])
    return None


def _letters(dimensions: str) -> Counter[str]:
    above, _, below = dimensions.partition("/")
    letters = Counter(above)
    letters.subtract(below)
    return letters


def _bridge(ours: Unit, theirs: Unit, substance: Analyte) -> float | None:
    """Return by what to multiply when dimensions change: 1 if they do not, None if they cannot."""
    if ours.dimensions == theirs.dimensions:
        return 1.0
    # To moles and back: so many moles has one of the dimension.
    moles = {"n": 1.0}
    if substance.molar_mass:
        moles["m"] = 1 / substance.molar_mass
    if substance.valence:
        moles["e"] = 1 / substance.valence
    if substance.enzyme:
        moles = {"c": 1.0, "q": 1e-6 / 60}  # 1 U = 1 umol/min, 1 kat = 1 mol/s
    for a, x in moles.items():
        for b, y in moles.items():
            if _exchanged(ours, a, b) == theirs.dimensions:
                return x / y
    return None


def _exchanged(unit: Unit, a: str, b: str) -> frozenset[tuple[str, int]] | None:
    if (a, 1) not in unit.dimensions:
        return None
    return unit.dimensions - {(a, 1)} | {(b, 1)}


def _incompatible(here: str, study: str, concept: str, where: str) -> SettingsError:
    about = f" of {concept}" if concept else ""
    return SettingsError(
        f"{here[:LONGEST]!r} cannot become {study[:LONGEST]!r}{about}",
        where=where,
        remedy="correct `unit`; between mass and moles give `molar_mass`, or convert at the source",
    )


def _hba1c(here: str, study: str) -> Conversion | None:
    """Return the master equation, NGSP % = 0.09148 * IFCC mmol/mol + 2.152.

    Hoelzel et al., IFCC reference system for measurement of hemoglobin A1c, Clin Chem 50, 2004.
    """
    slope, shift = 0.09148, 2.152
    if (here, study) == ("mmol/mol", "%"):
        return Conversion(slope, shift)
    return Conversion(1 / slope, -shift / slope) if (here, study) == ("%", "mmol/mol") else None
