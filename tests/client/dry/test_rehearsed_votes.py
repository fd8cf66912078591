"""A dry run shows the votes too, where a study plans them."""

from pathlib import Path

import pytest

from client.dry.fields import fields_of
from client.dry.rehearsal import rehearse
from client.gate.gate import admit
from tests.client.dry.test_rehearsal import NAMES, SAID, carried, federation, study_of

VOTES = {
    "none": ["votes"],
    "robust": ["votes"],
    "masked": ["votes_advertise", "votes_deal", "votes_input", "votes_confirm"],
}
CLASSES = {"gout": [45, 45]}
SITES = [{"name": name, "patients": 90, "classes": CLASSES} for name in NAMES]


@pytest.mark.parametrize("profile", VOTES)
def test_votes_have_the_fields_and_sizes_of_the_wire_and_cost_nothing(
    profile: str, tmp_path: Path
) -> None:
    study = study_of(profile, sites=SITES, evaluation={"metric_releases": 1})
    folders = federation(tmp_path, study)
    state = folders["Ash"] / "state"
    before = {path: path.read_bytes() for path in state.glob("ledger.jsonl")}
    rehearsed = rehearse(admit(folders["Ash"], study.id))
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "run").mkdir()
    sent = carried(tmp_path, study, folders, output=str(tmp_path / "run"))
    assert [one.message for one in rehearsed] == [*SAID[profile], *VOTES[profile]] == list(sent)
    for one in rehearsed:
        real = list(fields_of(one.message, sent[one.message].content, study))
        assert [(f.name, f.kind, f.shape) for f in one.fields] == [
            (f.name, f.kind, f.shape) for f in real
        ]
        assert all(f.reveals and f.covered for f in real)
    vector = rehearsed[len(SAID[profile]) + (2 if profile == "masked" else 0)].fields[-1]
    assert (vector.shape, vector.bytes) == ("20", 160)
    assert "noise of 10 patients on each count" in vector.covered
