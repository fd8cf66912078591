"""The units that clinical features use, and the substances whose moles have a mass.

Every factor is exact by definition, or has its origin beside it. UCUM: The Unified Code for Units
of Measure, Regenstrief Institute, https://ucum.org. BIPM: The International System of Units, 9th
edition, 2019. IUPAC: Standard atomic weights, abridged, 2021 (C 12.011, H 1.008, O 15.999,
N 14.007, P 30.974, Fe 55.845, Co 58.933, I 126.904), from which molar masses are summed.
"""

from typing import NamedTuple

# Dimensions: m mass, l length, t time, n amount of substance, p pressure, q activity (IU, U),
# c catalytic activity (katal), e equivalents, k temperature; of plain numbers "".
ATOMS: dict[str, tuple[float, str]] = {
    **{"g": (1.0, "m"), "lb": (453.59237, "m"), "oz": (28.349523125, "m")},  # pound of 1959, exact
    **{"m": (1.0, "l"), "in": (0.0254, "l"), "ft": (0.3048, "l")},  # inch of 1959, exact
    **{"L": (1e-3, "lll"), "mol": (1.0, "n"), "M": (1e3, "n/lll"), "eq": (1.0, "e")},
    **{"s": (1.0, "t"), "min": (60.0, "t"), "h": (3600.0, "t"), "d": (86400.0, "t")},
    **{"wk": (604800.0, "t"), "a": (31557600.0, "t"), "mo": (2629800.0, "t")},  # UCUM: 365.25 d
    **{"Pa": (1.0, "p"), "bar": (1e5, "p")},
    **{"m[Hg]": (133322.387415, "p")},  # BIPM: 1 mmHg = 133.322387415 Pa (UCUM: 133.322)
    **{"m[H2O]": (9806.65, "p")},  # water of 1 g/cm3 under standard gravity, 9.80665 m/s2
    **{"IU": (1.0, "q"), "U": (1.0, "q")},  # of an enzyme both are 1 umol/min; else arbitrary
    **{"kat": (1.0, "c"), "Hz": (1.0, "/t")},
    **{"1": (1.0, ""), "%": (0.01, ""), "[ppth]": (1e-3, ""), "[ppm]": (1e-6, "")},
    # A multiple of a count, as in 10*9/L.
    **{f"10*{power}": (10.0**power, "") for power in (2, 3, 4, 5, 6, 9, 12)},
}
PREFIXED = ("g", "m", "L", "mol", "M", "eq", "s", "Pa", "bar", "m[Hg]", "m[H2O]", "IU", "U", "kat")
PREFIXES = {
    **{"k": 1e3, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15},
    "h": 1e2,
}
TEMPERATURES: dict[str, tuple[float, float]] = {
    "K": (1.0, 0.0),
    "Cel": (1.0, 273.15),  # BIPM: t/degC = T/K - 273.15
    "[degF]": (5 / 9, 459.67 * 5 / 9),  # T/K = (t/degF + 459.67) * 5/9
}
"""Kelvins of one degree, and of the scale's zero."""

THINGS = ("beats", "breaths", "cells", "count", "counts", "events", "vessels", "points", "score")
"""What is counted: left out of a rate (beats/min), and convertible into nothing when alone."""

SPELLINGS = {
    **dict.fromkeys(("mm[Hg]", "mmHg", "mmhg", "torr", "Torr"), "mm[Hg]"),
    **dict.fromkeys(("cm[H2O]", "cmH2O"), "cm[H2O]"),
    **dict.fromkeys(("degC", "°C", "C", "celsius", "Celsius", "degreesC"), "Cel"),
    **dict.fromkeys(("degF", "°F", "F", "fahrenheit", "Fahrenheit", "degreesF"), "[degF]"),
    **dict.fromkeys(("kelvin", "Kelvin"), "K"),
    **dict.fromkeys(("year", "years", "yr", "yrs", "y", "annum"), "a"),
    **dict.fromkeys(("month", "months", "mos"), "mo"),
    **dict.fromkeys(("week", "weeks", "w"), "wk"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "mins"), "min"),
    **dict.fromkeys(("second", "seconds", "sec"), "s"),
    **dict.fromkeys(("bpm", "beatsperminute", "breathsperminute", "{beats}/min"), "1/min"),
    **dict.fromkeys(("[lb_av]", "lbs", "pound", "pounds"), "lb"),
    **dict.fromkeys(("[in_i]", "inch", "inches"), "in"),
    **dict.fromkeys(("[ft_i]", "feet", "foot"), "ft"),
    **dict.fromkeys(("[oz_av]", "ounce", "ounces"), "oz"),
    **dict.fromkeys(("kilogram", "kilograms", "kgs"), "kg"),
    **dict.fromkeys(("[IU]", "[iU]", "iu", "[iu]", "u", "units", "unit"), "IU"),
    **dict.fromkeys(("percent", "pct"), "%"),
    **dict.fromkeys(("ratio", "fraction", "proportion", "unity"), "1"),
    **dict.fromkeys(("‰", "permille"), "[ppth]"),
    **dict.fromkeys(("l", "litre", "liter"), "L"),
    **dict.fromkeys(("Eq", "val"), "eq"),
    **dict.fromkeys(("thou", "thousand", "10E3", "10e3", "10^3", "10**3", "1000"), "10*3"),
    **dict.fromkeys(("mil", "million", "10E6", "10e6", "10^6", "10**6"), "10*6"),
    **dict.fromkeys(("10E9", "10e9", "10^9", "10**9"), "10*9"),
    **dict.fromkeys(("10E12", "10e12", "10^12", "10**12"), "10*12"),
}
"""Other ways to write a unit, blanks left out, and UCUM's."""


class Analyte(NamedTuple):
    """A substance in blood. molar_mass: g/mol, 0 where none is of use. valence: charges an ion.

    enzyme: its activity in U is one in katal too, 1 U = 1 umol/min = 1/60 ukat.
    """

    molar_mass: float = 0.0
    valence: int = 0
    enzyme: bool = False


CHOLESTEROL = Analyte(386.664)  # C27H46O; HDL and LDL are reported as the cholesterol in them
ENZYME = Analyte(enzyme=True)
ANALYTES: dict[str, Analyte] = {
    "glucose": Analyte(180.156),  # C6H12O6
    **dict.fromkeys(("cholesterol", "hdl", "ldl", "nonhdl"), CHOLESTEROL),
    "triglycerides": Analyte(885.453),  # triolein, C57H104O6, as laboratories report (1/88.5)
    "creatinine": Analyte(113.12),  # C4H7N3O
    "urea": Analyte(60.056),  # CH4N2O
    "bun": Analyte(28.014),  # the two nitrogens of a mole of urea
    "uric_acid": Analyte(168.112),  # C5H4N4O3
    "bilirubin": Analyte(584.673),  # C33H36N4O6
    "calcium": Analyte(40.078, 2),  # Ca
    "magnesium": Analyte(24.305, 2),  # Mg
    "phosphate": Analyte(30.974),  # reported as phosphorus, P
    "sodium": Analyte(22.990, 1),  # Na
    "potassium": Analyte(39.098, 1),  # K
    "chloride": Analyte(35.45, 1),  # Cl
    "bicarbonate": Analyte(61.016, 1),  # HCO3
    "iron": Analyte(55.845),  # Fe
    # One haem's chain, a quarter of the tetramer of 64,458 g/mol: Braunitzer 1964, as ICSH uses it.
    "haemoglobin": Analyte(16114.5),
    "albumin": Analyte(66437.0),  # human serum albumin, UniProt P02768, mature chain
    "lactate": Analyte(89.070),  # C3H5O3
    "ammonia": Analyte(17.031),  # NH3
    "cortisol": Analyte(362.466),  # C21H30O5
    "vitamin_d": Analyte(400.647),  # 25-hydroxycholecalciferol, C27H44O2
    "vitamin_b12": Analyte(1355.388),  # cyanocobalamin, C63H88CoN14O14P
    "folate": Analyte(441.404),  # C19H19N7O6
    "testosterone": Analyte(288.431),  # C19H28O2
    "oestradiol": Analyte(272.388),  # C18H24O2
    **dict.fromkeys(("t4", "ft4"), Analyte(776.872)),  # thyroxine, C15H11I4NO4
    **dict.fromkeys(("t3", "ft3"), Analyte(650.976)),  # triiodothyronine, C15H12I3NO4
    **dict.fromkeys(("alt", "ast", "alp", "ggt", "ldh", "ck", "amylase", "lipase"), ENZYME),
}
