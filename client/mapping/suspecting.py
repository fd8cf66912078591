"""Is a column's unit the one that it is said to be? Its numbers tell, without leaving the house.

The study's usual range holds most patients anywhere. If few of a column's numbers lie in it as
they stand, and most do once they are converted from another common unit, then that unit is the
likelier one. It is proposed with both shares, and never applied without being written down.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.mapping.concepts import concept_of
from client.mapping.units import Conversion, conversion
from common.errors import SettingsError
from common.study import Feature

COMMON = (
    *("mm[Hg]", "kPa", "cm[H2O]", "Cel", "[degF]", "K", "kg", "g", "[lb_av]", "m", "cm", "mm"),
    *("[in_i]", "g/dL", "g/L", "mg/dL", "mg/L", "ug/dL", "ug/L", "ng/dL", "ng/L", "pg/dL"),
    *("mol/L", "mmol/L", "umol/L", "nmol/L", "pmol/L", "meq/L", "[IU]/L", "m[IU]/L", "u[IU]/L"),
    *("ukat/L", "nkat/L", "10*3/uL", "/uL", "10*6/uL", "%", "1", "a", "mo", "wk", "d", "h", "min"),
    *("s", "ms", "/min", "/s", "mmol/mol", "mL", "L", "fL", "m[H2O]"),
)
FEW = 5
"""Fewer numbers tell nothing."""
OUTSIDE, INSIDE, GAIN = 0.5, 0.6, 0.4
"""Suspect a unit if less than OUTSIDE lie in the usual range, and with another one at least INSIDE
and so much more."""


class Suspicion(NamedTuple):
    """A likelier unit. before, after: the shares in the usual range."""

    unit: str
    before: float
    after: float

    def said(self, stated: str) -> str:
        """Return why, in words; stated: the unit that the numbers are thought to be in."""
        as_is = f"as {stated}" if stated else "as they are"
        return (
            f"{self.after:.0%} of the numbers are usual as {self.unit}, {self.before:.0%} {as_is}"
        )


def suspicion(
    values: NDArray[np.float64], feature: Feature, *, stated: str = "", molar_mass: float = 0.0
) -> Suspicion | None:
    """Return a unit that fits a column's numbers [n] much better than the stated one, if any.

    values: in the hospital's unit, NaN where missing. stated: that unit; "" is the study's.
    """
    values = values[np.isfinite(values)]
    if len(values) < FEW or not feature.unit:
        return None
    stated_as = _known(stated or feature.unit, feature, molar_mass)
    before = _usual(values, stated_as or Conversion(), feature)
    if before >= OUTSIDE:
        return None
    tried = {unit: way for unit in COMMON if (way := _known(unit, feature, molar_mass))}
    best = max(
        tried, key=lambda unit: _fit(values, tried[unit], feature), default=None
    )  # the first of equals
    if best is None or (after := _usual(values, tried[best], feature)) < max(INSIDE, before + GAIN):
        return None
    return Suspicion(best, before, after)


def _known(unit: str, feature: Feature, molar_mass: float) -> Conversion | None:
    try:
        concept = concept_of(feature.name)
        return conversion(unit, feature.unit, concept=concept, molar_mass=molar_mass)
    except SettingsError:
        return None


def _usual(values: NDArray[np.float64], way: Conversion, feature: Feature) -> float:
    low, high = feature.usual
    converted = way(values)
    return float(((converted >= low) & (converted <= high)).mean())


def _fit(values: NDArray[np.float64], way: Conversion, feature: Feature) -> tuple[float, float]:
    """Return the share in the usual range, and how near its middle they lie."""
    middle = float(np.mean(feature.usual))
    distance = abs(float(np.median(way(values))) - middle)
    return round(_usual(values, way, feature), 2), -distance
