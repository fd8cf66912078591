"""A Control API that starts nothing, and the traces that a study's run leaves at a coordinator."""

import json
from collections.abc import Mapping

from common.signed_study import seal_path, seal_study
from common.study import Study, study_toml
from server.coordinator import running
from server.coordinator.folder import CoordinatorFolder
from server.state import RECORDS_FILE


class Flower:
    """A Control API that remembers what it was asked for."""

    def __init__(self) -> None:
        self.started: list[tuple[bytes, Mapping[str, object]]] = []
        self.status, self.up = "running", True

    def start_run(self, bundle: bytes, config: Mapping[str, object]) -> int:
        self.started.append((bundle, dict(config)))
        return len(self.started)

    def run_status(self, run: int) -> str:
        return self.status

    def nodes(self) -> list[object]:
        return []


def seal(folder: CoordinatorFolder, study: Study, bundle: bytes) -> None:
    folder.study.write_text(study_toml(study))
    sealed = seal_study(study, folder.signer(), bundle=bundle)
    seal_path(folder.study).write_text(sealed.text)


def record(place: running.RunPlace, index: int, *, closed: bool = True) -> None:
    fields = {"round_index": index, "attempt": 1, "closed": closed, "accepted": ["Ash"]}
    with (place.path / RECORDS_FILE).open("a") as file:
        file.write(json.dumps(fields | {"dropped": {}, "seconds": 0.1}) + "\n")
