"""`wardround coordinator status`, `pause` and `stop`, as typed."""

import json

from typer.testing import CliRunner

from common.cli import make_app
from server.control import Progress, read_wish
from server.coordinator import running
from server.coordinator.folder import CoordinatorFolder
from tests.server.coordinator.runs import Flower, record


def test_the_commands_tell_how_the_run_stands_and_end_accordingly(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    words = ["coordinator", "status", "--folder", str(sealed.path)]
    assert "has not begun" in CliRunner().invoke(make_app(), words).stdout
    place = running.start_run(sealed)
    record(place, 1)
    Progress(place.path, 4).say("below quorum", 1, "1 of 3 sites")
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 1
    assert "below quorum (1 of 3 sites), 1 of 4 rounds" in result.stdout
    assert "round    1  closed, 0.1 s, 1 sites" in result.stdout
    about = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).stdout)
    assert (about["processes"], about["last"]["round_index"]) == (False, 1)
    for wish in ("pause", "stop"):
        made = ["coordinator", wish, "--folder", str(sealed.path)]
        assert CliRunner().invoke(make_app(), made).exit_code == 0
        assert read_wish(place.path) == wish
