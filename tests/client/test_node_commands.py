import json
import time
from pathlib import Path
from typing import Any

import pytest

from client.budget import cost_of, open_ledger, reserve_study
from client.identity import make_identity, read_identity
from client.lines import LEDGER_BOOK
from client.masking import remembered
from client.membership import masking_store
from client.node_commands import budget, unblock
from client.site_keys import IDENTITY_FILE as IDENTITY
from common.errors import PrivacyError, SettingsError
from common.messages.purposes import UPDATES, VOTES
from common.privacy.masking.state import State
from common.study import Study, study_toml
from tests.hospital import write_rules
from tests.importing import modules_after
from tests.private_study import VOTERS, private

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _group_wise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the algorithm has it is the algorithm's to say."""
    monkeypatch.setattr("client.budget._group_wise", lambda name: name == "maml")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return written(tmp_path, private())


def written(folder: Path, study: Study) -> Path:
    path = folder / f"{study.name}.toml"
    path.write_text(study_toml(study))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of Ash's node, with rules and nothing else."""
    return write_rules(tmp_path / "ash", "Ash").folder


def asked(capsys: Capture, folder: Path, **options: Any) -> dict[str, Any]:
    capsys.readouterr()
    budget(folder=folder, as_json=True, **options)
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def reserve(folder: Path, study: Study, cohort: str = "") -> int:
    """Reserve a study, as an approval does."""
    ledger = open_ledger(folder / "state", time.time)
    return reserve_study(ledger, cost_of(study, "Ash"), cohort=cohort)


def test_a_budget_is_opened_asked_and_reserved(folder: Path, study: Path, capsys: Capture) -> None:
    budget(folder=folder, cap=10.0, cohort="2025")
    assert "Chain ok: 1 lines" in capsys.readouterr().out
    budget(folder=folder, study=study)
    said = capsys.readouterr().out
    for words in (
        "Study wards at Ash: 100 rounds over 200 groups: ",
        "epsilon 3.995 replace-one, 2.108 zero-out, delta 1e-05.",
        "It would fit into: 2025.",
        "10.000",
    ):
        assert words in said
    assert (folder / "state" / LEDGER_BOOK.file).read_bytes().count(b"\n") == 1  # it costs nothing
    assert reserve(folder, private()) == 2
    budget(folder=folder, study=study)
    said = capsys.readouterr().out
    assert "It is reserved for cohort 2025; 0 of its rounds are spent." in said
    assert "6.005" in said  # 10 - 3.995
    assert "Chain ok: 2 lines" in said


def test_json_says_it_all_with_a_schema(folder: Path, capsys: Capture) -> None:
    measured = private(sites=VOTERS, evaluation={"metric_releases": 5})
    study = written(folder, measured)
    asked(capsys, folder, cap=10.0, cohort="2025")
    about = asked(capsys, folder, study=study)
    assert about["schema"] == 1
    assert about["chain"]["ok"]
    assert about["study"]["replace_one"] == pytest.approx(4.26, abs=0.006)
    assert about["study"]["fits"] == ["2025"]
    reserve(folder, measured)
    (cohort,) = asked(capsys, folder)["cohorts"]
    assert cohort["reserved"] == about["study"]["replace_one"]
    assert cohort["left"] == pytest.approx(10 - cohort["reserved"])
    assert cohort["spent"] == 0


def test_a_study_beyond_the_cap_is_shown_and_refused(
    folder: Path, study: Path, capsys: Capture
) -> None:
    budget(folder=folder, cap=3.0, cohort="2025")
    budget(folder=folder, study=study)
    assert "No cohort has so much left." in capsys.readouterr().out
    with pytest.raises(PrivacyError, match=r"costs epsilon 3\.995, and 3 is left"):
        reserve(folder, private())
    assert asked(capsys, folder)["cohorts"][0]["reserved"] == 0


def test_without_a_ledger_there_is_no_budget(folder: Path) -> None:
    with pytest.raises(PrivacyError, match="no identity"):
        budget(folder=folder)
    make_identity(folder / "state")
    with pytest.raises(PrivacyError, match="ledger is missing"):
        budget(folder=folder)


def test_a_cap_is_given_once_and_to_each_cohort_by_name(folder: Path, capsys: Capture) -> None:
    budget(folder=folder, cap=10.0, cohort="2025")
    with pytest.raises(PrivacyError, match="never changed"):
        budget(folder=folder, cap=20.0, cohort="2025")
    budget(folder=folder, cap=5.0, cohort="2026")
    assert [c["cap"] for c in asked(capsys, folder)["cohorts"]] == [10, 5]
    with pytest.raises(SettingsError, match="has 2 cohorts"):
        reserve(folder, private())
    reserve(folder, private(), "2026")
    assert [c["cohort"] for c in asked(capsys, folder, cohort="2026")["cohorts"]] == ["2026"]
    with pytest.raises(PrivacyError, match="2027 was never opened"):
        budget(folder=folder, cohort="2027")


def test_a_cap_needs_the_name_of_its_cohort(folder: Path) -> None:
    with pytest.raises(SettingsError, match="--cohort NAME"):
        budget(folder=folder, cap=1.0)
    assert not (folder / "state").exists()


def test_a_study_that_has_no_cost_opens_nothing(folder: Path) -> None:
    fedavg = written(folder, private(algorithm={"name": "fedavg"}))
    with pytest.raises(PrivacyError, match="fedavg makes no update of one group alone"):
        budget(folder=folder, study=fedavg, cap=10.0, cohort="2025")
    assert not (folder / "state").exists()


def test_an_identity_is_its_owners_only_and_never_replaced(tmp_path: Path) -> None:
    key = make_identity(tmp_path)
    assert make_identity(tmp_path) == read_identity(tmp_path) == key
    path = tmp_path / IDENTITY
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o640)
    with pytest.raises(PrivacyError, match="read by others"):
        make_identity(tmp_path)
    path.chmod(0o600)
    path.write_bytes(key[:-1])
    with pytest.raises(PrivacyError, match="damaged"):
        make_identity(tmp_path)
    path.unlink()
    (tmp_path / LEDGER_BOOK.file).touch()
    with pytest.raises(PrivacyError, match="identity that signed the ledger is missing"):
        make_identity(tmp_path)


def test_importing_the_commands_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pandas", "pydantic", "flwr", "cryptography", "dp_accounting"}
    assert not heavy & modules_after("import client.node_commands")


def test_a_node_that_has_given_up_is_let_in_again_by_hand(
    folder: Path, study: Path, capsys: Capture
) -> None:
    key = make_identity(folder / "state")
    store = masking_store(folder / "state", private(), key)
    store.save(State(opened=7, aborts=3).text)
    unblock(folder=folder, study=study)
    assert "3 sessions of study wards were given up" in capsys.readouterr().out
    assert remembered(store) == State(opened=7, aborts=0)


def test_sessions_for_votes_that_were_given_up_are_counted_too(
    folder: Path, capsys: Capture
) -> None:
    measured = private(sites=VOTERS, evaluation={"metric_releases": 1})
    key = make_identity(folder / "state")
    stores = [
        masking_store(folder / "state", measured, key, purpose) for purpose in (UPDATES, VOTES)
    ]
    for aborts, store in enumerate(stores, start=1):
        store.save(State(aborts=aborts).text)
    unblock(folder=folder, study=written(folder, measured))
    assert "3 sessions of study wards were given up" in capsys.readouterr().out
    assert [remembered(store).aborts for store in stores] == [0, 0]


def test_only_the_sites_own_state_is_unblocked(folder: Path, study: Path) -> None:
    with pytest.raises(PrivacyError, match="no identity"):
        unblock(folder=folder, study=study)
