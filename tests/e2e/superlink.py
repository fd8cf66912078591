"""Flower's SuperLink over TLS with authenticated nodes, as a coordinator starts it."""

import secrets
from pathlib import Path

import tomli_w

from tests.coordinating import free_ports
from tests.e2e.conftest import Flower
from tests.e2e.keys import write_certificates

COORDINATOR = "coordinator"


def start_superlink(
    flower: Flower,
    port: int,
    *,
    ca: Path,
    certificate: Path,
    key: Path,
    database: Path,
    secret: Path,
) -> str:
    """Start a SuperLink on loopback, tell `flwr` of it and return its address once it listens."""
    address = f"127.0.0.1:{port}"
    flower.start(
        "superlink",
        "flower-superlink",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ssl-ca-certfile", str(ca)),
        *("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)),
        "--enable-supernode-auth",
        *("--database", str(database)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
        "--disable-runtime-dependency-installation",
        party=COORDINATOR,
    )
    connection = {"address": address, "root-certificates": str(ca)}
    (flower.home(COORDINATOR) / "config.toml").write_text(
        tomli_w.dumps({"superlink": {"default": "study", "study": connection}})
    )
    flower.wait_for_port(port)
    return address


def start_coordinator(flower: Flower, folder: Path) -> str:
    """Start a SuperLink and its SuperExec with keys of their own; return the address."""
    (port,) = free_ports(1)
    ca, secret = folder / "ca.crt", folder / "superexec.secret"
    write_certificates(folder)
    secret.write_bytes(secrets.token_bytes(32))
    address = start_superlink(
        flower,
        port,
        ca=ca,
        certificate=folder / "server.crt",
        key=folder / "server.key",
        database=folder / "superlink.db",
        secret=secret,
    )
    flower.start(
        "superexec",
        "flower-superexec",
        *("--runtime-api-address", address, "--root-certificates", str(ca)),
        *("--superexec-auth-secret-file", str(secret)),
        *("--executor", "subprocess"),
        party=COORDINATOR,
    )
    return address
