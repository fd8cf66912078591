"""What the edge does with a hospital's texts: it joins, changes its node key, asks.

Nothing is believed that is not signed by the keys that it names, for this very coordinator. All of
one request is one transaction, so that a secret serves one site even if two ask at once.
"""

from typing import NamedTuple

from common.crypto import verify
from common.enrolment import (
    ASK,
    FRESH_S,
    JOIN,
    RECEIPT,
    ROTATE,
    Application,
    Join,
    Proven,
    Question,
    Receipt,
    Rotation,
    request_hash,
)
from common.errors import InvalidMessage
from common.invitation import secret_hash
from common.privacy.masking.statements import Signed, signed
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import Book, SiteEntry, open_book


class Done(NamedTuple):
    """A request that was granted. request: hash of its text, which the receipt names."""

    site: str
    node: str
    request: str


def join(folder: CoordinatorFolder, text: str, *, now: float) -> Done:
    """Let a hospital join by the secret of its invitation.

    The same request again, such as after a lost answer, is granted again and changes nothing.

    Raises:
        InvalidMessage: the text, the secret, or a signature does not hold.
    """
    application = Application.read(text)
    proven, wish = application.join, Join.read(application.join.statement)
    _for_here(folder, wish.authority)
    if wish.invitation != secret_hash(bytes.fromhex(application.secret)):
        raise refusal("wrong-proof", "the proof is of another invitation")
    proven.check(wish.identity, wish.node, JOIN)
    done = Done(wish.site, wish.node, request_hash(proven.statement))
    with open_book(folder.registry) as book:
        if not _again(book, done):
            _check_invitation(book, wish, now)
            _check_identity(book, wish)
            _check_key(book, wish.node)
            book.use_invitation(wish.invitation, int(now))
            book.put_site(wish.site, wish.identity, int(now))
            book.put_key(wish.site, wish.node, done.request, int(now))
    return done


def rotate(folder: CoordinatorFolder, text: str, *, now: float) -> Done:
    """Put a member's new node key in the place of its last one, by its identity's signature.

    Raises:
        InvalidMessage: the text or a signature does not hold, or the site is no member.
    """
    proven = Proven.read(text)
    asked = Rotation.read(proven.statement)
    _for_here(folder, asked.authority)
    done = Done(asked.site, asked.new, request_hash(proven.statement))
    with open_book(folder.registry) as book:
        proven.check(_member(book, asked.site).identity, asked.new, ROTATE)
        if not _again(book, done):
            last = book.current_key(asked.site)
            if last is None or last.public != asked.old:
                raise refusal("stale-key", "the old node key is not the last one of this site")
            _check_key(book, asked.new)
            book.put_key(asked.site, asked.new, done.request, int(now))
    return done


def asker(folder: CoordinatorFolder, header: str, path: str, *, now: float) -> str:
    """Return the name of the member who asks for a path; header: its signed question.

    Raises:
        InvalidMessage: it is no question of a member, for this path, of these minutes.
    """
    asked = Signed.read(header)
    question = Question.read(asked.statement)
    _for_here(folder, question.authority)
    if question.what != path or abs(question.asked - now) > FRESH_S:
        raise refusal("stale-question", "the question is of another time; check both clocks")
    with open_book(folder.registry) as book:
        identity = _member(book, question.site).identity
    verify(bytes.fromhex(identity), bytes.fromhex(asked.signature), ASK, asked.statement)
    return question.site


def receipt(folder: CoordinatorFolder, done: Done) -> Signed:
    """Return the coordinator's signed word that a request was granted."""
    signer = folder.signer()
    with open_book(folder.registry) as book:
        node = book.node(done.node)
    said = Receipt(
        request=done.request,
        site=done.site,
        federation=folder.settings.name,
        key=signer.public.hex(),
        fleet=folder.settings.address,
        registered=bool(node and node.registered),
    )
    return signed(said, signer, RECEIPT)


def refusal(code: str, what: str) -> InvalidMessage:
    """Return the error that a hospital is answered with."""
    return InvalidMessage(code, what, where="enrolment", remedy="ask the coordinator by telephone")


def _again(book: Book, done: Done) -> bool:
    """Whether this very request was granted before, and is still what holds."""
    node, site = book.node(done.node), book.site(done.site)
    member = site is not None and site.revoked is None
    return bool(node and member and node.request == done.request and node.until is None)


def _check_invitation(book: Book, wish: Join, now: float) -> None:
    found = book.invitation(wish.invitation)
    if found is None:
        raise refusal("unknown-invitation", "there is no such invitation")
    if (state := found.state(now)) != "open":
        raise refusal(f"{state}-invitation", f"the invitation is {state}")
    if found.site != wish.site:
        raise refusal("wrong-site", "the invitation is for a site of another name")


def _check_identity(book: Book, wish: Join) -> None:
    site, owner = book.site(wish.site), book.owner_of(wish.identity)
    if site and site.revoked is None and site.identity != wish.identity:
        raise refusal("name-in-use", "a site of this name has joined with another identity")
    if owner not in (None, wish.site):
        raise refusal("identity-in-use", "another site has this identity")


def _check_key(book: Book, public: str) -> None:
    if book.node(public) is not None:
        raise refusal("key-in-use", "this node key was used before; make another one")


def _member(book: Book, name: str) -> SiteEntry:
    site = book.site(name)
    if site is None or site.revoked is not None:
        raise refusal("no-member", "this site is no member")
    return site


def _for_here(folder: CoordinatorFolder, authority: str) -> None:
    if authority != folder.authority:
        raise refusal("wrong-coordinator", "this was meant for another coordinator")
