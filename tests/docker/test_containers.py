"""The images and compose.demo.yaml, built and run from nothing: `make docker-test`.

In the order of this file: later tests find what earlier ones have left, and the last one stops all.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulation.federation_demo import HOSPITALS
from tests.docker import probes
from tests.docker.engine import ENGINE, ROOT, Project, call, missing, say
from tests.docker.federation import ROUNDS, USER, Federation

IMAGES = ("localhost/wardround-coordinator", "localhost/wardround-node")
SERVICES = [
    "coordinator",
    *(f"{site}-{part}" for site in HOSPITALS for part in ("supernode", "executor")),
]
TRICKS = (
    "/v1/fleet/../control/list-runs",
    "/v1/fleet/%2e%2e/control/list-runs",
    "/v1/fleet/..%2fcontrol/list-runs",
    "/v1/fleet/..;/control/list-runs",
    "/v1/fleet//../control/list-runs",
    "/v1/fleet/%252e%252e/control/list-runs",
    "/v1/fleet\\..\\control\\list-runs",
    "//v1/control/list-runs",
    "/V1/CONTROL/list-runs",
    "/./v1/control/list-runs",
    "https://superlink/v1/control/list-runs",
    "/v1/control/list-runs",
    "/v1/runtime/acquire-task",
    "/docs",
    "/openapi.json",
    "/",
)
pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
]


@pytest.fixture(scope="module")
def images() -> dict[str, float]:
    """Build both images; return the size of each in MB."""
    if os.environ.get("IMAGES") != "keep":
        say("$ docker/build.sh")
        began = time.monotonic()
        call("bash", "docker/build.sh", seconds=3000).well()
        say(f"Built in {time.monotonic() - began:.0f} s.")
    sizes = {}
    for image in IMAGES:
        told = call(ENGINE, "image", "inspect", image, "--format", "{{.Size}}")
        sizes[image] = int(told.well()) / 1e6
        say(f"{image}: {sizes[image]:.0f} MB")
    return sizes


@pytest.fixture(scope="module")
def federation(images: dict[str, float]) -> Iterator[Federation]:
    """A coordinator and four hospitals, each up; all is gone in the end."""
    with tempfile.TemporaryDirectory(prefix="wardround-demo-") as folder:
        project = Project("compose.demo.yaml", "wardround-demo", {"WARDROUND_DEMO": folder})
        project.compose("down", "--volumes")
        demo = Federation(project, Path(folder))
        try:
            study = demo.found()
            for site in HOSPITALS:
                demo.join(site, study)
            demo.agree()
            for site in HOSPITALS:
                demo.start(f"{site}-supernode", f"{site}-executor")
            yield demo
        finally:
            project.compose("--profile", "tools", "down", "--volumes", "--timeout", "20")


def ask(federation: Federation, service: str, script: str, *words: str) -> Any:
    """Run a probe in a service's container."""
    done = federation.project.enter(service, "python", "-", *words, given=script)
    found = json.loads(done.well())
    say(f"{service}: {json.dumps(found)}")
    return found


def test_the_images_hold_no_compiler_and_no_installer(images: dict[str, float]) -> None:
    seek = "for each in gcc cc g++ c++ clang tcc as ld make pip; do command -v $each; done; id -u"
    for image in images:
        done = call(
            ENGINE, "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", seek
        )
        assert done.well().split() == [str(USER)], image


def test_the_images_hold_the_versions_of_the_constraints(images: dict[str, float]) -> None:
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().split()
    )
    for image in images:
        run = (
            ENGINE,
            "run",
            "--rm",
            "--interactive",
            "--network",
            "none",
            "--entrypoint",
            "python",
        )
        done = call(*run, image, "-", given=probes.VERSIONS)
        found = {
            name.lower().replace("_", "-"): each for name, each in json.loads(done.well()).items()
        }
        assert found.pop("wardround")
        assert found == {name: pinned.get(name, "not pinned") for name in found}, image


def test_every_service_is_up_and_told_how_long_it_took(federation: Federation) -> None:
    for service, seconds in federation.up_s.items():
        say(f"{service}: healthy after {seconds:.1f} s")
    assert set(federation.up_s) == set(SERVICES)


def test_a_run_goes_on_after_its_coordinator_was_killed_and_ends(federation: Federation) -> None:
    federation.run_until(2)
    say("$ kill and start coordinator")
    federation.project.kill("coordinator")
    federation.project.wait("coordinator")
    said = federation.run()
    say(said)
    assert f"Run finished, {ROUNDS} of {ROUNDS} rounds" in said
    assert 1 <= said.count(" closed, ") < ROUNDS, "after the kill some, and none of those before"


def test_the_patients_side_reaches_its_supernode_and_nothing_else(federation: Federation) -> None:
    addresses = [
        each["IPAddress"]
        for each in federation.project.about("coordinator")["NetworkSettings"]["Networks"].values()
    ]
    for site in HOSPITALS:
        names = [
            "coordinator:8443",
            "birch-supernode:9094" if site == "ash" else "ash-supernode:9094",
        ]
        closed = [*names, *(f"{address}:8443" for address in addresses), "192.0.2.1:443"]
        found = ask(federation, f"{site}-executor", probes.REACH, "runtime:9094", *closed)
        assert found["tried"].pop("runtime:9094") == "opens"
        assert "opens" not in found["tried"].values()
        assert found["default routes"] == 0
    assert ask(federation, "ash-executor", probes.SCAN, "runtime") == [9094]


def test_no_name_server_carries_anything_out_of_the_patients_side(federation: Federation) -> None:
    names = ("coordinator", "ash-supernode", "example.org")
    found = ask(federation, "ash-executor", probes.NAMES, "10.203.1.1", *names)
    assert set(found["names"].values()) == {"unknown"}
    assert set(found["servers"].values()) == {"silent"}
    control = ask(federation, "ash-supernode", probes.NAMES, "10.203.1.1", "coordinator")
    assert control["names"] == {"coordinator": "known"}


def test_the_networks_side_reaches_the_coordinator_and_sees_no_patient(
    federation: Federation,
) -> None:
    for site in HOSPITALS:
        found = ask(
            federation, f"{site}-supernode", probes.REACH, "coordinator:8443", "coordinator:8000"
        )
        assert found["tried"]["coordinator:8443"] == "opens"
        assert found["tried"]["coordinator:8000"] != "opens"
        look = "test ! -e /data && find /var/lib/wardround -not -path '*/flwr/*'"
        seen = federation.project.enter(f"{site}-supernode", "sh", "-c", look).well()
        assert "node.key" in seen
        for secret in ("ledger", "identity", "approvals", "audit", "csv"):
            assert secret not in seen


def test_nothing_can_be_written_but_the_state(federation: Federation) -> None:
    places = ("/", "/data", "/opt/wardround", "/var/lib/wardround", "/var/lib/wardround/state")
    found = ask(federation, "ash-executor", probes.WRITE, *places)
    assert [place for place in places if found[place] == "writes"] == ["/var/lib/wardround/state"]
    for service in ("coordinator", "ash-supernode"):
        found = ask(federation, service, probes.WRITE, "/", "/opt/wardround", "/var/lib")
        assert "writes" not in found.values()


def test_no_process_has_root_or_a_capability(federation: Federation) -> None:
    for service in SERVICES:
        told = federation.project.enter(service, "cat", "/proc/1/status").well()
        lines = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
        assert set(lines["Uid"].split()) == {str(USER)}, service
        assert {int(lines[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}, service
        assert lines["NoNewPrivs"] == "1", service


def test_the_edge_opens_the_fleet_and_nothing_else(federation: Federation) -> None:
    found = ask(federation, "ash-supernode", probes.ASK, *TRICKS)
    assert set(found.values()) <= {400, 404}
    opened = ask(federation, "ash-supernode", probes.ASK, "/v1/fleet/pull-messages")
    assert opened["/v1/fleet/pull-messages"] not in (
        400,
        404,
    )  # the SuperLink answers: who are you?


def test_every_container_ends_in_seconds_when_it_is_asked_to(federation: Federation) -> None:
    for service in reversed(SERVICES):
        seconds, code = federation.project.stop(service)
        say(f"{service}: {seconds:.1f} s after SIGTERM, exit code {code}")
        assert code == 0, federation.project.logs(service)
        assert seconds < 15
