"""Throwaway keys and certificates, made as a hospital and a coordinator make theirs."""

from datetime import UTC, datetime
from pathlib import Path

from common.certificates import NodeKey, make_authority, make_server_certificate


def write_node_key(path: Path) -> Path:
    """Write a SuperNode's key pair and return the public half's path."""
    key = NodeKey.new()
    path.touch(mode=0o600)
    path.write_bytes(key.content)
    public = path.with_suffix(".pub")
    public.write_text(key.public + "\n")
    return public


def write_certificates(folder: Path) -> None:
    """Write ca.crt, server.crt and server.key: a throwaway CA and a server on loopback."""
    now = datetime.now(UTC)
    authority = make_authority("test", now=now)
    server = make_server_certificate(authority, "test", ["localhost"], now=now)
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "server.crt").write_bytes(server.certificate)
    (folder / "server.key").write_bytes(server.key)
