"""Who was invited and who has joined: one SQLite file, which commands and the edge share.

Every change is one transaction: a crash leaves the state before it or after it. Of a secret only
its hash is here. Node keys are never deleted and never used twice.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invitation (
    hash TEXT PRIMARY KEY, site TEXT NOT NULL, made INTEGER NOT NULL, expires INTEGER NOT NULL,
    used INTEGER, revoked INTEGER);
CREATE TABLE IF NOT EXISTS site (
    name TEXT PRIMARY KEY, identity TEXT NOT NULL UNIQUE, joined INTEGER NOT NULL, revoked INTEGER);
CREATE TABLE IF NOT EXISTS node_key (
    public TEXT PRIMARY KEY, site TEXT NOT NULL, request TEXT NOT NULL UNIQUE,
    since INTEGER NOT NULL, until INTEGER, registered INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS roster (
    hash TEXT PRIMARY KEY, epoch INTEGER NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vote (
    roster TEXT NOT NULL, site TEXT NOT NULL, signature TEXT NOT NULL, PRIMARY KEY (roster, site));
"""
_WAIT_S = 20.0


class InvitationEntry(NamedTuple):
    """An invitation as it is kept; times are Unix seconds, None: not yet."""

    hash: str
    site: str
    made: int
    expires: int
    used: int | None
    revoked: int | None

    def state(self, now: float) -> str:
        """Return what it is good for, in one word."""
        if self.revoked is not None:
            return "revoked"
        if self.used is not None:
            return "used"
        return "open" if now < self.expires else "expired"


class SiteEntry(NamedTuple):
    """A site that has joined. identity: Ed25519, public, hex. revoked: None if it is a member."""

    name: str
    identity: str
    joined: int
    revoked: int | None


class NodeEntry(NamedTuple):
    """A node key. request: hash of the text that brought it. until: None if it is in use.

    registered: whether Flower has been told of it, and not yet to forget it.
    """

    public: str
    site: str
    request: str
    since: int
    until: int | None
    registered: bool


class Book:
    """The registry inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def add_invitation(self, hash_: str, site: str, *, now: int, expires: int) -> None:
        """Keep an open invitation."""
        row = (hash_, site, now, expires)
        self._run("INSERT INTO invitation (hash, site, made, expires) VALUES (?, ?, ?, ?)", row)

    def invitation(self, hash_: str) -> InvitationEntry | None:
        """Return the invitation with this hash."""
        row = self._run("SELECT * FROM invitation WHERE hash = ?", (hash_,)).fetchone()
        return InvitationEntry(*row) if row else None

    def invitations(self) -> list[InvitationEntry]:
        """Return all invitations, the oldest first."""
        return [
            InvitationEntry(*row) for row in self._run("SELECT * FROM invitation ORDER BY made")
        ]

    def use_invitation(self, hash_: str, now: int) -> None:
        """Mark an invitation as used."""
        self._run("UPDATE invitation SET used = ? WHERE hash = ?", (now, hash_))

    def revoke_invitations(self, site: str, now: int) -> int:
        """Revoke a site's open invitations and return their number."""
        where = "site = ? AND used IS NULL AND revoked IS NULL"
        return self._run(f"UPDATE invitation SET revoked = ? WHERE {where}", (now, site)).rowcount  # noqa: S608

    def site(self, name: str) -> SiteEntry | None:
        """Return the site of this name."""
        row = self._run("SELECT * FROM site WHERE name = ?", (name,)).fetchone()
        return SiteEntry(*row) if row else None

    def sites(self) -> list[SiteEntry]:
        """Return all sites that ever joined, by name."""
        return [SiteEntry(*row) for row in self._run("SELECT * FROM site ORDER BY name")]

    def owner_of(self, identity: str) -> str | None:
        """Return the name of the site that has this identity."""
        row = self._run("SELECT name FROM site WHERE identity = ?", (identity,)).fetchone()
        return str(row[0]) if row else None

    def put_site(self, name: str, identity: str, now: int) -> None:
        """Keep a site as a member; one that was revoked begins anew."""
        self._run("INSERT OR REPLACE INTO site VALUES (?, ?, ?, NULL)", (name, identity, now))

    def revoke_site(self, name: str, now: int) -> bool:
        """End a site's membership and its node key; say whether there was one."""
        self.end_key(name, now)
        done = self._run(
            "UPDATE site SET revoked = ? WHERE name = ? AND revoked IS NULL", (now, name)
        )
        return bool(done.rowcount)

    def node(self, public: str) -> NodeEntry | None:
        """Return what is known of a node key."""
        row = self._run("SELECT * FROM node_key WHERE public = ?", (public,)).fetchone()
        return NodeEntry(*row) if row else None

    def nodes(self) -> list[NodeEntry]:
        """Return all node keys, ever."""
        return [NodeEntry(*row) for row in self._run("SELECT * FROM node_key ORDER BY since")]

    def current_key(self, site: str) -> NodeEntry | None:
        """Return a site's last node key, in use or not."""
        query = "SELECT * FROM node_key WHERE site = ? ORDER BY since DESC, rowid DESC LIMIT 1"
        row = self._run(query, (site,)).fetchone()
        return NodeEntry(*row) if row else None

    def put_key(self, site: str, public: str, request: str, now: int) -> None:
        """Put a site's new node key in the place of the one in use."""
        self.end_key(site, now)
        row = (public, site, request, now)
        self._run("INSERT INTO node_key (public, site, request, since) VALUES (?, ?, ?, ?)", row)

    def end_key(self, site: str, now: int) -> bool:
        """End the use of a site's node key; say whether there was one."""
        where = "site = ? AND until IS NULL"
        return bool(self._run(f"UPDATE node_key SET until = ? WHERE {where}", (now, site)).rowcount)  # noqa: S608

    def mark_registered(self, public: str, *, registered: bool) -> None:
        """Note whether Flower knows a node key."""
        self._run("UPDATE node_key SET registered = ? WHERE public = ?", (registered, public))

    def add_roster(self, hash_: str, epoch: int, text: str) -> None:
        """Keep a proposed roster."""
        self._run("INSERT INTO roster VALUES (?, ?, ?)", (hash_, epoch, text))

    def rosters(self) -> list[str]:
        """Return the texts of all rosters, by epoch."""
        return [row[0] for row in self._run("SELECT text FROM roster ORDER BY epoch")]

    def put_vote(self, roster: str, site: str, signature: str) -> None:
        """Keep a site's signature of a roster."""
        self._run("INSERT OR REPLACE INTO vote VALUES (?, ?, ?)", (roster, site, signature))

    def votes(self, roster: str) -> dict[str, str]:
        """Return the signatures of a roster by site."""
        query = "SELECT site, signature FROM vote WHERE roster = ? ORDER BY site"
        return dict(self._run(query, (roster,)).fetchall())


@contextmanager
def open_book(path: Path) -> Iterator[Book]:
    """Open the registry for one transaction, made if missing; an error undoes all of it."""
    new = not path.exists()
    with closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as connection:
        if new:
            path.chmod(0o600)
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield Book(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
