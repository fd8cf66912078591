"""The gate fails closed: whatever is missing, altered, over or beyond the rules, nothing runs."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from client.gate.approvals import DAY_S, FOLDER, find_approval, withdraw_approval
from client.gate.gate import admit, approved_bundles
from client.gate.proposal import approve, weigh
from client.hospital import open_hospital
from client.identity import read_identity
from client.site_keys import IDENTITY_FILE
from common.errors import PrivacyError, Refusal, SettingsError, WardroundError
from common.study import Study
from tests.client.gate.conftest import changed
from tests.hospital import COORDINATOR, hospital, write_rules, write_study


@pytest.fixture
def folder(tmp_path: Path, study: Study, table: pd.DataFrame) -> Path:
    return Path(hospital(tmp_path / "ash", study, table, name="Ash", bundle=b"app")["node"])


def code(folder: Path, study: str, now: float | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        admit(folder, study, now=now)
    return caught.value.code


def approval(folder: Path, study: Study) -> Path:
    return folder / "state" / FOLDER / f"{study.id}.json"


def test_an_approved_study_is_admitted_as_it_was_approved(folder: Path, study: Study) -> None:
    admitted = admit(folder, study.id)
    assert admitted.study == study
    assert admitted.hospital.name == "Ash"
    assert 0 < admitted.approval.epsilon < 100


def test_without_rules_nothing_is_admitted(folder: Path, study: Study) -> None:
    (folder / "site.toml").unlink()
    assert code(folder, study.id) == "no-policy"
    (folder / "site.toml").write_text("schema = 1\nsite = 'Ash'\nmin_cohrot = 3\n")
    assert code(folder, study.id) == "no-policy"


@pytest.mark.parametrize("claimed", ["0" * 64, "", "../../etc/passwd", "x" * 10_000, "\0"])
def test_a_study_of_another_id_is_unknown_here(folder: Path, claimed: str) -> None:
    assert code(folder, claimed) == "not-approved"


def test_an_approval_ends_and_does_not_begin_before_it_was_given(
    folder: Path, study: Study
) -> None:
    now = time.time()
    assert admit(folder, study.id, now=now + 89 * DAY_S).study == study
    assert code(folder, study.id, now=now + 91 * DAY_S) == "approval-expired"
    assert code(folder, study.id, now=now - DAY_S) == "approval-expired"


def test_an_approval_that_was_edited_or_given_by_another_is_void(
    folder: Path, study: Study, tmp_path: Path, table: pd.DataFrame
) -> None:
    path, text = approval(folder, study), approval(folder, study).read_text()
    path.write_text(text.replace(r"\"epsilon\":", r"\"epsilon\":0"))
    assert code(folder, study.id) == "approval-altered"
    hospital(tmp_path / "other", study, table, name="Ash")
    path.write_text(approval(tmp_path / "other", study).read_text())
    assert code(folder, study.id) == "approval-altered"
    path.write_text("{}")
    assert code(folder, study.id) == "approval-altered"
    path.write_text(text)
    assert admit(folder, study.id)


def test_an_approval_does_not_serve_another_study(folder: Path, study: Study) -> None:
    other = changed(server={"rounds": 1})
    approval(folder, study).rename(approval(folder, other))
    assert code(folder, other.id) == "approval-altered"


def test_new_code_needs_a_new_approval(
    folder: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.gate.approvals.package_version", lambda: "9.9.9")
    assert code(folder, study.id) == "package-changed"


def test_a_stricter_rule_counts_for_what_was_approved_before(folder: Path, study: Study) -> None:
    write_rules(folder, "Ash", limits={"min_cohort": 4, "min_patients": 1, "max_epsilon": 100.0})
    assert code(folder, study.id) == "cohort-too-small"
    write_rules(folder, "Ash", limits={"min_cohort": 3, "min_patients": 1, "max_epsilon": 0.1})
    assert code(folder, study.id) == "outside-policy"


def test_a_withdrawn_approval_admits_nothing(folder: Path, study: Study) -> None:
    withdraw_approval(folder / "state", study.id)
    assert code(folder, study.id) == "not-approved"
    with pytest.raises(Refusal):
        withdraw_approval(folder / "state", study.id)


def test_without_its_identity_a_hospital_admits_nothing(folder: Path, study: Study) -> None:
    (folder / "state" / IDENTITY_FILE).unlink()
    with pytest.raises(PrivacyError, match="no identity"):
        admit(folder, study.id)


def test_bundles_are_those_of_approvals_that_hold(folder: Path, study: Study) -> None:
    (bundle,) = approved_bundles(folder)
    assert bundle == find_approval(folder / "state", study.id, now=time.time()).approval.bundle
    write_rules(folder, "Ash")
    assert approved_bundles(folder) == frozenset()


@pytest.mark.parametrize("harm", ["unsigned", "altered", "stranger", "untrusted", "resealed"])
def test_a_study_that_the_coordinator_has_not_signed_is_not_even_shown(
    harm: str, tmp_path: Path, study: Study
) -> None:
    made = write_rules(tmp_path, "Ash")
    path = write_study(tmp_path / "study.toml", study)
    seal = tmp_path / "study.toml.sig"
    if harm == "unsigned":
        seal.unlink()
    elif harm == "altered":
        path.write_text(path.read_text().replace("rounds = 2", "rounds = 3"))
    elif harm == "stranger":
        made = write_rules(tmp_path, "Ash", coordinator={"key": "ab" * 32})
    elif harm == "untrusted":
        made = write_rules(tmp_path, "Ash", coordinator={})
    else:
        about = json.loads(seal.read_text())
        about["statement"] = about["statement"].replace(study.id, changed(server={}).id)
        seal.write_text(json.dumps(about, sort_keys=True, separators=(",", ":")))
    with pytest.raises(SettingsError):
        weigh(made, path)


def test_what_the_limits_object_to_cannot_be_approved(
    tmp_path: Path, study: Study, table: pd.DataFrame
) -> None:
    node = hospital(tmp_path, study, table, name="Ash", approved=False, max_rounds=1)
    weighed = weigh(open_hospital(Path(node["node"])), tmp_path / "study.toml", cohort="2026")
    assert [one.code for one in weighed.objections] == ["outside-policy"]
    with pytest.raises(PrivacyError, match="rounds is 2; max_rounds is 1"):
        approve(weighed, now=time.time())
    assert code(tmp_path, study.id) == "not-approved"


def test_a_study_beyond_the_cap_cannot_be_approved(
    tmp_path: Path, study: Study, table: pd.DataFrame
) -> None:
    with pytest.raises(WardroundError):
        hospital(tmp_path, study, table, name="Ash", cap=0.5)
    assert code(tmp_path, study.id) == "not-approved"


def test_approving_twice_reserves_once(folder: Path, study: Study) -> None:
    weighed = weigh(open_hospital(folder), folder / "study.toml")
    approve(weighed, now=time.time())
    lines = (folder / "state" / "ledger.jsonl").read_text().splitlines()
    assert sum('"kind":"reserve"' in line for line in lines) == 1
    assert read_identity(folder / "state")


def test_the_tests_coordinator_is_the_one_of_the_rules(folder: Path) -> None:
    assert open_hospital(folder).rules.coordinator.key == COORDINATOR.public.hex()
