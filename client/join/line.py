"""The line from a hospital to a coordinator: TLS that believes in one certificate authority.

The proxy of the environment (HTTPS_PROXY) is used. What comes back is bounded and is shown to
people only after what could move a terminal's cursor was taken out of it.
"""

import base64
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple

import httpx

from common.certificates import fingerprint, in_groups
from common.crypto import SigningKey
from common.enrolment import ASK, SCHEME, Complaint, Question
from common.errors import CryptoError, InvalidMessage, SettingsError
from common.privacy.masking.statements import signed

TIMEOUT_S = 20.0
LONGEST = 4 * 1024**2
_AUTHORITY = "/enrol/ca"


class Line(NamedTuple):
    """A coordinator's address (host:port) and its authority's certificate, PEM."""

    address: str
    ca: bytes

    @property
    def authority(self) -> str:
        """The authority's fingerprint, 64 hex digits."""
        return fingerprint(self.ca)

    def post(self, path: str, text: str) -> str:
        """Return the answer to a text.

        Raises:
            SettingsError: the coordinator is not reached, is another one, or refuses.
        """
        return self._say("POST", path, content=text.encode())

    def ask(self, path: str, site: str, identity: SigningKey) -> str:
        """Return what members are told at a path.

        Raises:
            SettingsError: as `post`.
        """
        now = int(time.time())
        question = Question(authority=self.authority, site=site, what=path, asked=now)
        text = signed(question, identity, ASK).text
        encoded = base64.urlsafe_b64encode(text.encode()).decode("ascii")
        return self._say("GET", path, headers={"authorization": f"{SCHEME} {encoded}"})

    def _say(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> str:
        context = ssl.create_default_context(cadata=self.ca.decode("ascii"))
        request = httpx.Request(
            method, f"https://{self.address}{path}", content=content, headers=headers
        )
        status, body = _send(request, context)
        if status != 200:
            raise _refused(status, body, self.address)
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            raise _strange(self.address) from None


def open_line(address: str, authority: str) -> Line:
    """Return the line to a coordinator whose authority has this fingerprint (SHA-256, hex).

    The certificate is fetched over a connection on which nothing is believed yet, so nothing is
    said on it but the request for the certificate. All else goes over connections that believe in
    this authority alone.

    Raises:
        SettingsError: it is not reached, or its authority is another one.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    status, ca = _send(httpx.Request("GET", f"https://{address}{_AUTHORITY}"), blind)
    try:
        found = fingerprint(ca) if status == 200 else ""
    except CryptoError:
        found = ""
    if found != authority:
        shown = in_groups(found) if found else "none"
        raise SettingsError(
            f"this is not the coordinator of the invitation: its authority is {shown}, and should "
            f"be {in_groups(authority)}; nothing was sent to it",
            where=address,
            remedy="a proxy that opens TLS? let it pass this address through, or ask the "
            "coordinator by telephone for a new code",
        )
    return Line(address, ca)


def printable(text: str, longest: int = 300) -> str:
    """Return a text from elsewhere as it may be shown on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def _send(request: httpx.Request, context: ssl.SSLContext) -> tuple[int, bytes]:
    """Return status and body of an answer.

    Raises:
        SettingsError: there is none that can be believed.
    """
    where, parts = request.url.netloc.decode("ascii"), bytearray()
    try:
        with httpx.Client(verify=context, timeout=TIMEOUT_S) as client:
            reply = client.send(request, stream=True)
            for part in reply.iter_raw():
                parts += part
                if len(parts) > LONGEST:
                    raise _strange(where)
            reply.close()
    except httpx.HTTPError as error:
        raise _unreachable(error, where) from error
    return reply.status_code, bytes(parts)


def _unreachable(error: httpx.HTTPError, where: str) -> SettingsError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return SettingsError(
            "somebody stands between: the certificate is not of the coordinator's authority, or "
            "not for this name; nothing was sent",
            where=where,
            remedy="a proxy that opens TLS? let it pass this address through unopened",
        )
    if isinstance(error, httpx.ProxyError):
        what, remedy = "the proxy refuses", "let it pass CONNECT to this address"
    elif isinstance(error, httpx.TimeoutException):
        what, remedy = (
            "there is no answer in time",
            "open the firewall outbound, or set HTTPS_PROXY",
        )
    else:
        what = f"the coordinator does not answer ({type(error).__name__})"
        remedy = "ask whether it is up; wardround node doctor looks at the way to it"
    return SettingsError(what, where=where, remedy=remedy)


def _refused(status: int, body: bytes, where: str) -> SettingsError:
    read: Callable[[str], Complaint] = Complaint.read
    try:
        said = read(body.decode("utf-8"))
    except (InvalidMessage, UnicodeDecodeError):
        why = "it asks to wait a minute" if status in (429, 503) else f"status {status}"
        return SettingsError(
            f"the coordinator does not answer as one should: {why}",
            where=where,
            remedy="try again; then ask the coordinator",
        )
    return CoordinatorRefuses(said, where)


class CoordinatorRefuses(SettingsError):
    """The coordinator answers with a no; code: its short reason."""

    def __init__(self, said: Complaint, where: str) -> None:
        what = f"the coordinator refuses: {printable(said.what)} [{printable(said.code)}]"
        super().__init__(what, where=where, remedy=printable(said.remedy))
        self.code = said.code


def _strange(where: str) -> SettingsError:
    return SettingsError(
        "the answer is none of a coordinator", where=where, remedy="is this its address?"
    )
