"""Certificates that Python's TLS believes, and node keys in one spelling."""

import base64
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.certificates import (
    Certified,
    NodeKey,
    days_left,
    fingerprint,
    flower_form,
    in_groups,
    make_authority,
    make_server_certificate,
    node_fingerprint,
    verify_node,
)
from common.errors import CryptoError, SettingsError

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Certified:
    return make_authority("wards", now=NOW)


def handshake(ca: bytes, server: Certified, folder: Path, name: str) -> None:
    """Shake hands in memory, as a client that believes in `ca` and dials `name`."""
    for file, content in (("server.crt", server.certificate), ("server.key", server.key)):
        (folder / file).write_bytes(content)
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(folder / "server.crt", folder / "server.key")
    here = ssl.create_default_context(cadata=ca.decode())
    here.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = here.wrap_bio(down, up, server_hostname=name)
    host = there.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for side in (client, host):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_a_server_certificate_is_believed_under_all_its_names(
    authority: Certified, tmp_path: Path
) -> None:
    server = make_server_certificate(authority, "edge", ["wards.example", "10.1.2.3"], now=NOW)
    for name in ("wards.example", "10.1.2.3", "localhost", "127.0.0.1"):
        handshake(authority.certificate, server, tmp_path, name)


def test_another_name_or_another_authority_is_not_believed(
    authority: Certified, tmp_path: Path
) -> None:
    server = make_server_certificate(authority, "edge", ["wards.example"], now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority.certificate, server, tmp_path, "other.example")
    stranger = make_authority("wards", now=NOW).certificate
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stranger, server, tmp_path, "wards.example")


def test_the_authority_lasts_twenty_years_and_a_server_certificate_ninety_days(
    authority: Certified,
) -> None:
    server = make_server_certificate(authority, "edge", ["wards.example"], now=NOW)
    assert days_left(server.certificate, now=NOW) == pytest.approx(90, abs=0.1)
    assert days_left(server.certificate, now=NOW + timedelta(days=61)) < 30
    assert days_left(authority.certificate, now=NOW) == pytest.approx(20 * 365, abs=0.1)


def test_the_fingerprint_is_that_of_openssl(authority: Certified, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    command = ("openssl", "x509", "-in", "ca.crt", "-noout", "-fingerprint", "-sha256")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    theirs = done.stdout.strip().partition("=")[2].replace(":", "").lower()
    assert fingerprint(authority.certificate) == theirs
    assert in_groups(theirs).split() == [theirs[i : i + 8] for i in range(0, 64, 8)]


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff" * 40])
def test_what_is_no_certificate_has_no_fingerprint(content: bytes) -> None:
    with pytest.raises(CryptoError):
        fingerprint(content)


def test_a_node_key_comes_back_from_its_file_and_signs_under_a_label() -> None:
    key = NodeKey.new()
    again = NodeKey.read(key.content, where="node.key")
    assert again.public == key.public
    signature = again.sign("label", "text")
    verify_node(key.public, signature, "label", "text")
    for public, label, text in (
        (key.public, "other", "text"),
        (key.public, "label", "other"),
        (NodeKey.new().public, "label", "text"),
    ):
        with pytest.raises(CryptoError, match="does not hold"):
            verify_node(public, signature, label, text)


def test_flower_registers_the_bytes_that_it_makes_of_the_private_key() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    key = NodeKey.new()
    private = load_ssh_private_key(key.content, password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert flower_form(key.public) == public_key_to_bytes(private.public_key())


def test_a_node_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    key = NodeKey.new()
    (tmp_path / "node.key.pub").write_text(key.public + "\n")
    command = ("ssh-keygen", "-lf", "node.key.pub")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    theirs = done.stdout.split()[1].removeprefix("SHA256:")
    assert base64.b64decode(theirs + "=").hex() == node_fingerprint(key.public)


def test_another_kind_of_key_or_spelling_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    others = (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate())
    lines = [
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        for key in others
    ]
    for public in (*lines, NodeKey.new().public + " comment", "", "é"):
        with pytest.raises(CryptoError):
            flower_form(public)
    with pytest.raises(SettingsError, match="no node key"):
        NodeKey.read(b"-----BEGIN", where="node.key")


def test_a_key_whose_point_is_compressed_is_refused_too() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    own = ec.generate_private_key(ec.SECP384R1()).public_key()
    point = own.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    parts = (b"ecdsa-sha2-nistp384", b"nistp384", point)
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    with pytest.raises(CryptoError):
        flower_form(f"ecdsa-sha2-nistp384 {base64.b64encode(body).decode()}")


@given(st.text(max_size=200) | st.text("ecdsa-sha2-nistp384 ABC=+/", max_size=200))
def test_whatever_is_no_node_key_raises_one_kind_of_error(public: str) -> None:
    with pytest.raises(CryptoError):
        flower_form(public)
