"""Three hospitals that join a coordinator, and the rosters that they sign."""

from datetime import UTC, date, datetime
from pathlib import Path

import typer
from typer.testing import CliRunner

from client.hospital import Hospital, open_hospital
from client.join.commands import roster as roster_command
from client.join.joining import join
from common.privacy.masking.roster import Roster
from common.study import Study
from server.coordinator import rosters
from server.coordinator.folder import CoordinatorFolder
from tests.coordinating import invited

NAMES = ("Ash", "Birch", "Cedar")
TODAY = datetime.now(UTC).date()


def enrolled(folder: CoordinatorFolder, tmp_path: Path, name: str) -> Hospital:
    join(invited(folder, name).code, tmp_path / name, name)
    return open_hospital(tmp_path / name)


def run(hospital: Hospital, yes: str) -> str:
    app = typer.Typer()
    app.command()(roster_command)
    words = ["--folder", str(hospital.folder), "--yes", yes]
    return CliRunner().invoke(app, words, catch_exceptions=False).stdout


def draft(folder: CoordinatorFolder, study: Study, *, today: date = TODAY) -> Roster:
    return rosters.draft(folder, study, today=today)
