"""What the coordinator itself answers: versions, its authority, and members their study."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.enrolment import SignedStudyText
from common.study import Study, study_toml
from server.coordinator import enrolling
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from server.study_commands import sign
from tests.coordinating import NOON, Ward, invited, ward
from tests.server.coordinator.asking import ask, call, complaint


def test_health_tells_versions_and_no_more(shared: CoordinatorFolder) -> None:
    reply = call(shared, "GET", "/health")
    assert reply.json() == {name: version(name) for name in ("flwr", "wardround")}


def test_the_authority_is_told_to_everybody_and_its_key_to_nobody(
    shared: CoordinatorFolder,
) -> None:
    assert call(shared, "GET", "/enrol/ca").content == shared.ca.read_bytes()
    for path in ("/enrol/ca.key", "/ca.key", "/coordinator.toml", "/enrol/../ca.key"):
        assert call(shared, "GET", path).status_code == 404


def joined(folder: CoordinatorFolder, name: str) -> Ward:
    site = ward(name)
    text = site.application(invited(folder, name, now=NOON))
    assert call(folder, "POST", "/enrol", content=text).status_code == 200
    return site


def test_a_member_gets_the_study_and_its_seal(
    shared: CoordinatorFolder, ward_study: Study, tmp_path: Path
) -> None:
    ash = joined(shared, "Ash")
    header = ash.question(shared.authority, "/enrol/study", asked=NOON)
    assert complaint(call(shared, "GET", "/enrol/study", headers=header)) == "no-study"
    path = tmp_path / "study.toml"
    path.write_text(study_toml(ward_study))
    sign(path, folder=shared.path)
    reply = call(shared, "GET", "/enrol/study", headers=header)
    assert SignedStudyText.read(reply.text).study == study_toml(ward_study)
    shared.study.write_text(study_toml(ward_study).replace("wards", "other"))
    assert complaint(call(shared, "GET", "/enrol/study", headers=header)) == "no-study"


def test_outsiders_get_neither_study_nor_roster(shared: CoordinatorFolder) -> None:
    for path in ("/enrol/study", "/enrol/roster"):
        assert complaint(call(shared, "GET", path)) == "no-question"
        header = ward("Nobody").question(shared.authority, path, asked=NOON)
        assert complaint(call(shared, "GET", path, headers=header)) == "no-member"


def test_a_refusal_is_noted_without_what_was_sent(
    shared: CoordinatorFolder, caplog: pytest.LogCaptureFixture
) -> None:
    code = invited(shared, "Cedar", now=NOON)._replace(secret=b"\x07" * 20)
    reply = call(shared, "POST", "/enrol", content=ward("Cedar").application(code))
    assert complaint(reply) == "unknown-invitation"
    assert "unknown-invitation" in caplog.text
    assert code.secret.hex() not in caplog.text
    ask(make_edge(shared), b"/v1/control/\x1b[2J\nforged line \xff")
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("path", ["/enrol", "/enrol/rotate", "/enrol/roster"])
@given(body=st.binary(max_size=200))
def test_whatever_is_posted_is_answered_with_a_complaint(
    shared: CoordinatorFolder, path: str, body: bytes
) -> None:
    assert complaint(call(shared, "POST", path, content=body))


@given(header=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_whatever_stands_in_the_header_is_answered_with_a_complaint(
    shared: CoordinatorFolder, header: str
) -> None:
    reply = call(shared, "GET", "/enrol/study", headers={"authorization": f"Wardround {header}"})
    assert complaint(reply)


def test_the_answer_of_a_join_is_one_receipt(shared: CoordinatorFolder) -> None:
    text = ward("Elm").application(invited(shared, "Elm", now=NOON))
    reply = call(shared, "POST", "/enrol", content=text)
    assert set(json.loads(reply.text)) == {"statement", "signature"}
    assert enrolling.join(shared, text, now=NOON).site == "Elm"
