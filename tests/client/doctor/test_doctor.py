"""The doctor finds each fault by its name, and says how to mend it."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from client.doctor.checks import checks_of
from client.doctor.finding import Finding, diagnose
from client.doctor.network import Answer, check_answer, clock
from client.gate.approvals import withdraw_approval
from common.cli import make_app
from common.study import Study
from tests.client.gate.conftest import study, table
from tests.e2e.keys import write_certificates
from tests.hospital import COORDINATOR, hospital, write_rules

__all__ = ["study", "table"]
PLACES = {"key": COORDINATOR.public.hex()}


@pytest.fixture
def folder(tmp_path: Path, study: Study, table: pd.DataFrame) -> Path:
    node = hospital(tmp_path / "ash", study, table, name="Ash")
    (tmp_path / "ash" / "site.toml").chmod(0o600)
    return Path(node["node"])


def findings(folder: Path, check: str = "", *, offline: bool = True) -> list[Finding]:
    found = diagnose(checks_of(folder, offline=offline))
    return [one for one in found if check in ("", one.check)]


def verdicts(folder: Path, check: str) -> list[str]:
    return [one.verdict for one in findings(folder, check)]


def test_a_healthy_node_has_no_problem_and_exit_code_0(folder: Path) -> None:
    assert not [one for one in findings(folder) if one.verdict == "problem"]
    words = ["node", "doctor", "--folder", str(folder), "--offline"]
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 0
    assert "100 patients read from" in result.stdout
    shown = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).stdout)
    assert shown["problems"] == 0


def test_without_rules_there_is_one_problem_and_exit_code_1(tmp_path: Path) -> None:
    (only,) = findings(tmp_path)
    assert (only.check, only.verdict) == ("rules", "problem")
    words = ["node", "doctor", "--folder", str(tmp_path)]
    assert CliRunner().invoke(make_app(), words).exit_code == 1


def test_a_secret_that_others_can_read_is_named(folder: Path) -> None:
    (folder / "state" / "identity.key").chmod(0o644)
    assert any("identity.key" in one.what for one in findings(folder, "keys"))
    assert "problem" in verdicts(folder, "keys")


def test_rules_that_others_can_change_are_a_problem(folder: Path) -> None:
    (folder / "site.toml").chmod(0o666)
    assert verdicts(folder, "rules") == ["problem"]


def test_an_altered_ledger_is_a_problem_that_ends_no_other_check(folder: Path) -> None:
    path = folder / "state" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"20.0", b"99.0", 1))
    assert "line 1" in findings(folder, "books")[0].what
    assert verdicts(folder, "disk") == ["ok"]


def test_patients_that_cannot_be_read_are_a_problem(folder: Path) -> None:
    (folder / "patients.csv").unlink()
    assert [one.verdict for one in findings(folder, "studies")] == ["problem"]


def test_a_node_without_an_approved_study_is_warned(folder: Path, study: Study) -> None:
    withdraw_approval(folder / "state", study.id)
    assert verdicts(folder, "policy") == ["warning"]


def test_a_study_beyond_new_rules_is_a_problem(folder: Path) -> None:
    write_rules(folder, "Ash", limits={"min_cohort": 4})
    (one,) = findings(folder, "policy")
    assert one.verdict == "problem"
    assert "min_cohort is 4" in one.what


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0.0, "ok"), (4.9, "ok"), (5.1, "problem"), (-304.0, "ok"), (-306.0, "problem")],
)
def test_a_clock_is_told_by_what_flower_refuses(ahead: float, verdict: str) -> None:
    assert clock(ahead).verdict == verdict


def test_an_old_certificate_and_another_version_are_told() -> None:
    now = time.time()
    answer = Answer(200, now, now, now + 86_400, "1.40.0", "")
    said = {one.what: one.verdict for one in check_answer(answer)}
    assert said["the coordinator's certificate lasts 1 days"] == "warning"
    assert [v for what, v in said.items() if "1.40.0 there" in what] == ["problem"]
    assert [v for what, v in said.items() if "not told there" in what] == ["warning"]


class Health(http.server.BaseHTTPRequestHandler):
    """A coordinator's edge that answers /health."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"flwr": "1.41.0"}).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server = http.server.HTTPServer(("127.0.0.1", 0), Health)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def connect(folder: Path, address: str, ca: Path) -> dict[str, Finding]:
    write_rules(folder, "Ash", coordinator=PLACES | {"address": address, "ca": str(ca)})
    return {one.check: one for one in findings(folder, offline=False)}


def test_a_coordinator_that_answers_over_tls_is_found(
    folder: Path, edge: str, tmp_path: Path
) -> None:
    found = connect(folder, edge, tmp_path / "ca.crt")
    for check in ("name", "authority", "connection", "clock"):
        assert found[check].verdict == "ok", found[check]
    assert found["proxy"].what == "none: a direct connection"


def test_a_certificate_of_another_authority_is_an_interception(
    folder: Path, edge: str, tmp_path: Path
) -> None:
    (tmp_path / "else").mkdir()
    write_certificates(tmp_path / "else")
    found = connect(folder, edge, tmp_path / "else" / "ca.crt")
    assert found["tls"].verdict == "problem"
    assert "opens TLS" in found["tls"].remedy


def test_nobody_there_a_strange_name_and_no_authority_are_told_apart(
    folder: Path, edge: str, tmp_path: Path
) -> None:
    port = int(edge.split(":")[1])
    assert connect(folder, "127.0.0.1:1", tmp_path / "ca.crt")["connection"].verdict == "problem"
    assert connect(folder, f"no.invalid:{port}", tmp_path / "ca.crt")["name"].verdict == "problem"
    assert connect(folder, edge, tmp_path / "none.crt")["authority"].verdict == "problem"


def test_the_proxy_of_the_environment_is_used_and_shown_without_its_password(
    folder: Path, edge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ward:hunter2@127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    found = connect(folder, edge, tmp_path / "ca.crt")
    assert found["proxy"].what == "through 127.0.0.1:1 (HTTPS_PROXY)"
    assert found["connection"].verdict == "problem"
    assert "hunter2" not in repr(found)
