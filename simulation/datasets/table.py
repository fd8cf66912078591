"""Any table with a column of sites, read through a study."""

from pathlib import Path

from client.table import patients_by_site, read_table
from common.errors import TableError
from common.study import Study
from simulation.datasets.base import Dataset


def load_table(path: Path, study: Study) -> Dataset:
    """Return the patients of a CSV or Parquet file; the last site and the last task are held out.

    Raises:
        TableError: the table is not what the study says, or has one site only.
    """
    patients = patients_by_site(read_table(path), study, where=str(path))
    sites, tasks = list(patients), [task.name for task in study.tasks]
    if len(sites) < 2:
        raise TableError(
            f"column {study.columns.site} holds one site only",
            where=str(path),
            remedy="give the rows of two sites or more",
        )
    return Dataset(
        name="table",
        study=study,
        patients=patients,
        note=f"{path.name}: {sum(map(len, patients.values()))} patients, the sites as its column "
        f"{study.columns.site} names them.",
        held_out_sites=(sites[-1],),
        held_out_tasks=tuple(tasks[-1:]) if len(tasks) > 1 else (),
        validation_tasks=(),
    )
