"""Checks of the one connection that a node opens: name, proxy, TLS, clock, versions."""

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from client.doctor.finding import Finding, ok, problem, warning
from client.hospital import Hospital

TIMEOUT_S = 10.0
AHEAD_S, BEHIND_S = 5.0, 305.0
"""Flower refuses a site whose clock is further off (its SuperLink's check of signed timestamps)."""
SOON_DAYS = 14


class Answer(NamedTuple):
    """What the coordinator said when asked how it is. date: its clock, Unix time, or None."""

    status: int
    date: float | None
    asked: float
    expires: float | None
    flwr: str
    wardround: str


def check_network(hospital: Hospital) -> Iterator[Finding]:
    """Whether the coordinator can be reached, is who it says, and would accept this node."""
    settings = hospital.rules.coordinator
    if not settings.address:
        yield problem("address", "no coordinator is named", "set coordinator.address in site.toml")
        return
    host = urlsplit(f"//{settings.address}").hostname or ""
    yield from check_proxy(settings.address)
    if not proxy_of(settings.address):
        yield from check_name(host)
    ca = hospital.folder / settings.ca
    yield from check_authority(ca)
    if not ca.exists():
        return
    try:
        answer = ask(settings.address, ca)
    except httpx.HTTPError as error:
        yield unreachable(error, settings.address)
        return
    yield from check_answer(answer)


def proxy_of(address: str) -> str:
    """Return the proxy on the way to an address, host and port only; "" if there is none."""
    host = urlsplit(f"//{address}").hostname or ""
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all") or ""
    if not proxy or proxy_bypass(host):
        return ""
    found = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return f"{found.hostname}:{found.port}"


def check_proxy(address: str) -> Iterator[Finding]:
    """Which way the connection takes."""
    proxy = proxy_of(address)
    yield ok("proxy", f"through {proxy} (HTTPS_PROXY)" if proxy else "none: a direct connection")


def check_name(host: str) -> Iterator[Finding]:
    """Whether the coordinator's name is known here."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        remedy = "correct coordinator.address, or let your DNS know the name"
        yield problem("name", f"{host} is not known here", remedy)
        return
    yield ok("name", f"{host} is {found[0][4][0]}")


def check_authority(ca: Path) -> Iterator[Finding]:
    """Which certificate authority is believed; its fingerprint is compared by telephone."""
    try:
        der = ssl.PEM_cert_to_DER_cert(ca.read_text(encoding="ascii"))
    except (OSError, ValueError):
        remedy = "take ca.crt from the coordinator, and compare its fingerprint"
        yield problem("authority", f"{ca} is missing or no certificate", remedy)
        return
    digest = hashlib.sha256(der).hexdigest()
    yield ok("authority", f"SHA-256 {' '.join(digest[i : i + 8] for i in range(0, 64, 8))}")


def ask(address: str, ca: Path) -> Answer:
    """Return what the coordinator's /health says; the proxy of the environment is used.

    Raises:
        httpx.HTTPError: there is no answer that can be believed.
    """
    context = ssl.create_default_context(cafile=str(ca))
    asked = time.time()
    with (
        httpx.Client(verify=context, timeout=TIMEOUT_S) as client,
        client.stream("GET", f"https://{address}/health") as reply,
    ):
        until = _end_of_certificate(reply)
        reply.read()
    date = reply.headers.get("date")
    about = _json(reply)
    return Answer(
        status=reply.status_code,
        date=parsedate_to_datetime(date).timestamp() if date else None,
        asked=(asked + time.time()) / 2,
        expires=ssl.cert_time_to_seconds(until) if until else None,
        flwr=str(about.get("flwr", "")),
        wardround=str(about.get("wardround", "")),
    )


def _end_of_certificate(reply: httpx.Response) -> str | None:
    """Return until when the certificate is valid; a connection that is closed tells none."""
    stream = reply.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    until: str | None = tls.getpeercert().get("notAfter") if tls else None
    return until


def _json(reply: httpx.Response) -> dict[str, object]:
    try:
        found = reply.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def unreachable(error: httpx.HTTPError, address: str) -> Finding:
    """Return why there was no answer, in words of the person who can change it."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        what = f"the certificate of {address} is not of this authority, or not for this name"
        remedy = "a proxy that opens TLS? compare ca.crt's fingerprint; exempt the address from it"
        return problem("tls", what, remedy)
    if isinstance(error, httpx.ProxyError):
        return problem("connection", "the proxy refused", "let it pass CONNECT to the coordinator")
    if isinstance(error, httpx.TimeoutException):
        what, remedy = (
            f"no answer within {TIMEOUT_S:g} s",
            "open the firewall outbound, or set HTTPS_PROXY",
        )
        return problem("connection", what, remedy)
    what = f"{address} does not answer ({type(error).__name__})"
    return problem("connection", what, "ask the coordinator whether it is up; check the port")


def check_answer(answer: Answer) -> Iterator[Finding]:
    """Whether the coordinator is well, its clock is near, its certificate lasts, versions fit."""
    if answer.status == 200:
        yield ok("connection", "the coordinator answers")
    else:
        remedy = "is coordinator.address the coordinator's edge?"
        yield problem("connection", f"/health answers {answer.status}", remedy)
    if answer.date is not None:
        yield clock(answer.asked - answer.date)
    if answer.expires is not None:
        days = (answer.expires - answer.asked) / 86_400
        what = f"the coordinator's certificate lasts {days:.0f} days"
        soon = warning("tls", what, "tell the coordinator to renew it")
        yield soon if days < SOON_DAYS else ok("tls", what)
    yield from versions(answer)


def clock(ahead: float) -> Finding:
    """Return whether a clock that is so many seconds ahead of the coordinator's will do."""
    if -BEHIND_S < ahead < AHEAD_S:
        return ok("clock", f"{abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}")
    way = "ahead of" if ahead > 0 else "behind"
    what = f"{abs(ahead):.0f} s {way} the coordinator's: Flower refuses such a node"
    return problem("clock", what, "set it by NTP (chrony, systemd-timesyncd)")


def versions(answer: Answer) -> Iterator[Finding]:
    """Whether both sides run versions that understand each other."""
    for name, theirs in (("flwr", answer.flwr), ("wardround", answer.wardround)):
        mine = version(name)
        both = f"{name} {mine} here, {theirs or 'not told'} there"
        if not theirs:
            yield warning("versions", both, "compare it by telephone")
        elif mine.split(".")[:2] != theirs.split(".")[:2]:
            yield problem("versions", both, f"install {name} {theirs}")
        else:
            yield ok("versions", both)
