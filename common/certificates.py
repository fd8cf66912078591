"""Certificates and node keys: the one room for X.509, and for the keys by which Flower knows nodes.

A coordinator's own certificate authority outlives releases and server certificates; its
fingerprint is what people compare. A node key is EC P-384 in OpenSSH's format, the only one that
flwr 1.41 reads. Its holder signs Flower's time stamps with it, and here, under a label, texts.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.crypto import framed
from common.errors import CryptoError, SettingsError

AUTHORITY_DAYS, SERVER_DAYS = 20 * 365, 90
_EARLIER = timedelta(minutes=10)
"""Certificates begin a little in the past: other clocks are late."""


class Certified(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def make_authority(name: str, *, now: datetime) -> Certified:
    """Return a new certificate authority that signs server certificates for 20 years."""
    key, subject = ec.generate_private_key(ec.SECP384R1()), _name(f"{name} certificate authority")
    builder = _builder(subject, subject, key.public_key(), key.public_key())
    certificate = (
        _valid(builder, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA384())
    )
    return Certified(certificate.public_bytes(Encoding.PEM), _pem(key))


def make_server_certificate(
    authority: Certified, name: str, hosts: Sequence[str], *, now: datetime
) -> Certified:
    """Return a certificate of the authority for servers under these host names and addresses."""
    key = ec.generate_private_key(ec.SECP384R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = load_pem_private_key(authority.key, password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - made above
    names = [_host(host) for host in dict.fromkeys([*hosts, "localhost", "127.0.0.1"])]
    builder = _builder(_name(name), issuer.subject, key.public_key(), issuer_key.public_key())
    certificate = (
        _valid(builder, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA384())
    )
    return Certified(certificate.public_bytes(Encoding.PEM), _pem(key))


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a PEM certificate's DER, 64 hex digits.

    Raises:
        CryptoError: it is no certificate.
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise _failure("no-certificate", "this is no certificate") from error
    return hashlib.sha256(parsed.public_bytes(Encoding.DER)).hexdigest()


def days_left(certificate: bytes, *, now: datetime) -> float:
    """Return for how many days a PEM certificate is still valid."""
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return (end - now) / timedelta(days=1)


def in_groups(digits: str, size: int = 8) -> str:
    """Return digits in groups, for people who compare them by telephone."""
    return " ".join(digits[i : i + size] for i in range(0, len(digits), size))


class NodeKey:
    """The private key by which Flower knows a node."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = _ssh_line(key.public_key())
        """OpenSSH's line without a comment: what node.key.pub holds."""

    @classmethod
    def new(cls) -> Self:
        """Return a key of the operating system's generator."""
        return cls(ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def read(cls, content: bytes, *, where: str) -> Self:
        """Return the key in a file's content.

        Raises:
            SettingsError: it is no unencrypted EC P-384 key in OpenSSH's format.
        """
        try:
            key = load_ssh_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not (isinstance(key, ec.EllipticCurvePrivateKey) and _is_p384(key.curve)):
            raise SettingsError(
                "this is no node key (EC P-384, OpenSSH, without a passphrase)",
                where=where,
                remedy="restore it, or join again with a new invitation",
            )
        return cls(key)

    @property
    def content(self) -> bytes:
        """What its file holds."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())

    def sign(self, label: str, text: str) -> bytes:
        """Return the signature (ECDSA, SHA-384, DER) of a text under a label."""
        return self._key.sign(framed(label, text), ec.ECDSA(hashes.SHA384()))


def verify_node(public: str, signature: bytes, label: str, text: str) -> None:
    """Return if the signature is that node key's, of that text, under that label.

    Raises:
        CryptoError: it is not, or the key is none.
    """
    try:
        _node_public(public).verify(signature, framed(label, text), ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise _failure("bad-signature", "a node key's signature does not hold") from error


def flower_form(public: str) -> bytes:
    """Return a node's public key (OpenSSH's line) in the bytes that Flower registers.

    Raises:
        CryptoError: it is no EC P-384 key, or not spelled as NodeKey spells it.
    """
    key = _node_public(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def node_fingerprint(public: str) -> str:
    """Return the SHA-256 of a node's public key, 64 hex digits, as `ssh-keygen -lf` counts it."""
    _node_public(public)
    return hashlib.sha256(base64.b64decode(public.split()[1])).hexdigest()


def _node_public(public: str) -> ec.EllipticCurvePublicKey:
    """Return the key that is spelled like this; one key has one spelling."""
    try:
        key = load_ssh_public_key(public.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm, NotImplementedError) as error:  # a compressed point
        raise _failure("no-node-key", "this is no node key") from error
    if not (isinstance(key, ec.EllipticCurvePublicKey) and _is_p384(key.curve)):
        raise _failure("no-node-key", "a node key is EC P-384")
    if _ssh_line(key) != public:
        raise _failure("no-node-key", "a node key is spelled in another way than OpenSSH's")
    return key


def _ssh_line(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _is_p384(curve: ec.EllipticCurve) -> bool:
    return isinstance(curve, ec.SECP384R1)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    owner = x509.SubjectKeyIdentifier.from_public_key(key)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(owner, critical=False)
        .add_extension(signer, critical=False)
    )


def _valid(builder: x509.CertificateBuilder, now: datetime, days: int) -> x509.CertificateBuilder:
    start = now.astimezone(UTC) - _EARLIER
    return builder.not_valid_before(start).not_valid_after(now + timedelta(days=days))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _failure(code: str, what: str) -> CryptoError:
    return CryptoError(
        code, what, where="certificates", remedy="find out who changed it; do not try again blindly"
    )
