"""Coronary disease at four hospitals, 1981 to 1987.

Janosi, A., Steinbrunn, W., Pfisterer, M., Detrano, R. (1988), Heart Disease, UCI Machine Learning
Repository, doi 10.24432/C52P4X, CC BY 4.0; Detrano et al., American Journal of Cardiology
64:304-310, 1989.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd

from client.table import patients_by_site
from common.errors import SettingsError, TableError
from common.study import Feature, GroupRule, Study, TaskRule
from simulation.datasets.base import Dataset, verified

NOTE = (
    "Coronary disease at four hospitals, 1981 to 1987: patients referred for angiography. Data: "
    "Janosi (Budapest), Steinbrunn (Zurich), Pfisterer (Basel), Detrano (Long Beach, Cleveland), "
    "Heart Disease, UCI Machine Learning Repository, doi 10.24432/C52P4X, CC BY 4.0. The Swiss "
    "file unites two hospitals and has 8 patients without the disease."
)


@dataclass(frozen=True)
class HeartFile:
    """One hospital's file, and what the original of it holds."""

    site: str
    name: str
    size: int
    md5: str
    rows: int
    positives: int


# Copies with other contents circulate, for example with 0 in place of `?`.
FILES = (
    HeartFile(
        *("Cleveland", "processed.cleveland.data", 18_461),
        *("2d91a8ff69cfd9616aa47b59d6f843db", 303, 139),
    ),
    HeartFile(
        *("Hungary", "processed.hungarian.data", 10_263),
        *("22e96bee155b5973568101c93b3705f6", 294, 106),
    ),
    HeartFile(
        *("Switzerland", "processed.switzerland.data", 4_109),
        *("9a87f7577310b3917730d06ba9349e20", 123, 115),
    ),
    HeartFile(
        *("VA Long Beach", "processed.va.data", 6_737),
        *("4249d03ca7711e84f4444768c9426170", 200, 149),
    ),
)
FOLDER = "uci_heart4"
COLUMNS = (
    *("age", "male", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"),
)

# Usual ranges: what is common among adults who are examined for chest pain, rounded. A pressure or
# a cholesterol of 0 was not measured.
STUDY = Study(
    name="uci-heart",
    purpose="Is a coronary vessel narrowed by more than half?",
    features=(
        Feature(name="age", unit="years", usual=(35.0, 75.0), may_be_missing=False),
        Feature(name="male", kind="binary", may_be_missing=False),
        Feature(name="cp", kind="category", categories=(1, 2, 3, 4)),  # kind of chest pain
        Feature(name="trestbps", unit="mm Hg", usual=(100.0, 160.0), plausible=(1.0, 400.0)),
        Feature(name="chol", unit="mg/dl", usual=(140.0, 320.0), plausible=(1.0, 2000.0)),
        Feature(name="fbs", kind="binary"),  # fasting blood sugar over 120 mg/dl
        Feature(name="restecg", kind="category", categories=(0, 1, 2)),
        Feature(name="thalach", unit="beats/min", usual=(100.0, 190.0)),  # highest heart rate
        Feature(name="exang", kind="binary"),  # angina under exercise
        Feature(name="oldpeak", unit="mm", usual=(-1.0, 3.0)),  # ST depression under exercise
        Feature(name="slope", kind="category", categories=(1, 2, 3)),  # of the ST segment
        Feature(name="ca", unit="vessels", usual=(0.0, 3.0)),  # coloured by fluoroscopy
        Feature(name="thal", kind="category", categories=(3, 6, 7)),  # thallium scan
    ),
    tasks=(TaskRule(name="coronary disease", column="num", positive=(1, 2, 3, 4)),),
    groups=(GroupRule(column="age", edges=(55.0,)), GroupRule(column="male")),
)


def load(data: Path | None) -> Dataset:
    """Return the four hospitals of a folder, `data` itself or its subfolder `uci_heart4`.

    Raises:
        SettingsError: no folder is given.
        TableError: a file is missing or is another one.
    """
    if data is None:
        raise SettingsError(
            "uci-heart needs the folder of its four files",
            where="data",
            remedy=f"download {FILES[0].name} and the others, doi 10.24432/C52P4X, and name it",
        )
    return Dataset(
        name="uci-heart",
        study=STUDY,
        patients=patients_by_site(read(data), STUDY, where=str(data)),
        note=NOTE,
        # It has enough patients of both classes to be scored, and its tests are those of most
        # sites: Cleveland alone has ca and thal.
        held_out_sites=("Hungary",),
        held_out_tasks=(),
        validation_tasks=(),
    )


def read(data: Path) -> pd.DataFrame:
    """Return all rows of the four files in a folder, `data` itself or its subfolder `uci_heart4`.

    Raises:
        TableError: a file is missing or is another one.
    """
    folder = data / FOLDER if (data / FOLDER).is_dir() else data
    return pd.concat([_hospital(folder, file) for file in FILES], ignore_index=True)


def _hospital(folder: Path, file: HeartFile) -> pd.DataFrame:
    path = folder / file.name
    data = verified(path, size=file.size, digest=file.md5, algorithm="md5")
    frame = pd.read_csv(BytesIO(data), header=None, names=list(COLUMNS), dtype=str, na_values=["?"])
    positives = int((frame["num"] != "0").sum())
    if (len(frame), positives) != (file.rows, file.positives):
        raise TableError(
            f"the file has {len(frame)} patients, {positives} of them with the disease",
            where=str(path),
            remedy=f"get the original of {file.rows} patients, {file.positives} with the disease",
        )
    # Two rows stand twice, in the Hungarian and in the VA file; nothing says that they are one
    # patient, so the number of the row is the patient's.
    return frame.assign(site=file.site, patient_id=[f"{file.site} {i}" for i in range(len(frame))])
