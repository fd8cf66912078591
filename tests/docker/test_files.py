"""The Dockerfile, compose files and manifests, without running them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulation.federation_demo import HOSPITALS

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = sorted(DOCKER.glob("compose.*.yaml"))
MANIFESTS = sorted((DOCKER / "kubernetes").glob("*.yaml"))
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp"],
}


def check(*words: str) -> None:
    """Run a linter that is installed beside this Python; it has to find nothing."""
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DOCKER / name).read_text())["services"]
    return found


def containers() -> list[Any]:
    documents = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    pods = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
    return [pytest.param(pod, id=pod["containers"][0]["name"]) for pod in pods]


def test_the_dockerfile_is_good_style() -> None:
    check("hadolint", str(DOCKER / "Dockerfile"))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_follows_the_specification(path: Path) -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_follows_kubernetes_schemas(path: Path) -> None:
    check("kubernetes-validate", "--strict", str(path))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_service_is_closed(path: Path) -> None:
    for name, service in services(path.name).items():
        assert HARDENED.items() <= service.items(), name


def test_the_demo_runs_what_coordinator_and_hospitals_run() -> None:
    demo, own = services("compose.demo.yaml"), {"volumes", "networks", "extra_hosts"}

    def rest(service: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in service.items() if key not in own}

    (coordinator,) = services("compose.coordinator.yaml").values()
    assert coordinator.pop("ports")
    assert rest(demo.pop("coordinator")) == rest(coordinator)
    for site in HOSPITALS:
        for name, service in services("compose.node.yaml").items():
            twin = demo.pop(f"{site}-{name}")
            assert rest(twin) == rest(service), f"{site}-{name}"
            assert _places(twin["volumes"]) == _places(service["volumes"])
    assert not demo


def test_patients_and_network_never_share_a_container() -> None:
    for name, service in services("compose.node.yaml").items():
        inside = service.get("network_mode") == "none" or service["networks"] == ["inside"]
        patients = any(":/data" in each for each in service["volumes"])
        assert patients == inside, name
        assert service.get("dns") == (
            ["127.0.0.1"] if service.get("networks") == ["inside"] else None
        )
    networks = yaml.safe_load((DOCKER / "compose.node.yaml").read_text())["networks"]
    assert networks["inside"]["internal"] is True


@pytest.mark.parametrize("pod", containers())
def test_a_pod_is_closed(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 49999
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _places(volumes: list[str]) -> list[str]:
    """Return where volumes are mounted, and how; where they come from differs."""
    return [each.split("}", 1)[1].split(":", 1)[1] for each in volumes]
