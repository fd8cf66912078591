"""A run folder as a server would leave it, written by hand: for tests of the live page."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import write_atomically
from common.study import Study, study_toml
from server.control import STATUS_FILE, Phase, Status
from tests.private_study import private

HOSTILE = "<script>alert(1)</script>"
METRICS = {
    "schema": 1,
    "round": 90,
    "note": "Scores of the shared model as it is.",
    "tasks": {
        "gout": {
            "sites": ["Ash", "Birch", "Cedar"],
            "declared": {"Ash": [1990, 7], "Birch": [1500, 500], "Cedar": [3500, 500]},
            "counts": [[101, 102], [103, 104]],
            "informative": True,
            "estimates": {
                "auroc": {"value": 0.8123, "standard_error": 0.0214},
                "brier": {"value": 0.1312, "standard_error": 0.0043},
            },
            "calibration": [],
        },
        "anaemia": {"sites": ["Ash", "Birch"], "informative": False, "estimates": {}},
    },
    "missing": {},
    "refused": {"lupus": "too few patients are declared"},
}


def sites(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return four wards, changed by name."""
    found: list[dict[str, Any]] = [
        {"name": "Ash", "patients": 2009},
        {"name": "Birch", "patients": 2000},
        {"name": "Cedar", "patients": 4000},
        {"name": "Dale", "patients": 19},
    ]
    return [site | changes.get(site["name"], {}) for site in found]


@dataclass
class RunFolder:
    """Writes what a server writes."""

    folder: Path
    study: Study

    def rounds(self, first: int, last: int, **changes: Any) -> None:
        """Append closed rounds, changed as given."""
        lines = [self.line(index, **changes) for index in range(first, last + 1)]
        with (self.folder / "rounds.jsonl").open("a") as file:
            file.write("".join(lines))

    def line(self, index: int, **changes: Any) -> str:
        """Return one line of the record."""
        record: dict[str, Any] = {
            "round_index": index,
            "attempt": 1,
            "closed": True,
            "accepted": [site.name for site in self.study.sites],
            "dropped": {},
            "seconds": 1.5,
            "ended": 1_780_000_000 + index,
        }
        return json.dumps(record | changes, separators=(",", ":")) + "\n"

    def status(self, phase: Phase, index: int, why: str = "", **changes: Any) -> None:
        """Say how the run stands; its process is this one."""
        rounds = self.study.server.rounds
        said = Status(phase, index, rounds, why, os.getpid(), 1_795_800_000.0, 1_795_800_060.0)
        text = json.dumps(said._asdict() | changes)
        write_atomically(self.folder / STATUS_FILE, text.encode())


def make_run(folder: Path, **changes: Any) -> RunFolder:
    """Return a new run folder of the masked wards' study, changed as given."""
    study = private(
        **({"sites": sites(), "purpose": "Predict gout from a routine visit"} | changes)
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(study_toml(study))
    return RunFolder(folder, study)
