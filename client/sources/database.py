"""Where a database is and how to log in: the password stays apart from everything that is shown."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from client.source_settings import OmopSource, SqlSource
from common.errors import SettingsError

_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token")


@dataclass(frozen=True)
class Database:
    """A database to read from. The password is fetched when a connection is made, never kept."""

    url: URL
    where: str
    _env: str = field(default="", repr=False)
    _file: Path | None = field(default=None, repr=False)

    def password(self) -> str:
        """Return the password, "" if the settings name none.

        Raises:
            SettingsError: it is not where the settings say, or open to others.
        """
        if self._env:
            return _from_environment(self._env, where=self.where)
        return _from_file(self._file) if self._file else ""


def database_of(settings: SqlSource | OmopSource, folder: Path) -> Database:
    """Return the database that the settings name; files are relative to the node's folder.

    Raises:
        SettingsError: the url is none or holds a password, or the password is not where it should
            be.
    """
    url = _checked_url(settings.url)
    if url.get_backend_name() in ("sqlite", "duckdb") and url.database:
        url = url.set(database=str(folder / url.database))
    if settings.password_env and settings.password_file:
        raise SettingsError(
            "source has both password_env and password_file",
            where="site.toml",
            remedy="keep one of them",
        )
    file = folder / settings.password_file if settings.password_file else None
    found = Database(url, url.render_as_string(), settings.password_env, file)
    found.password()
    return found


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not quoted: whoever writes a password into a url may also misspell the url.
        raise SettingsError(
            "source.url is no database url",
            where="site.toml",
            remedy="write dialect+driver://user@host/database, such as "
            "postgresql+psycopg://reader@db/ward or duckdb:///ward.duckdb",
        ) from None
    told = [key for key in url.query if any(word in key.lower() for word in _SECRET_WORDS)]
    if url.password is not None or told:
        raise SettingsError(
            "source.url holds a password",
            where="site.toml",
            remedy="take it out (and change it, if the file was shared); give password_env or "
            "password_file",
        )
    return url


def _from_environment(name: str, *, where: str) -> str:
    if not (password := os.environ.get(name)):
        raise SettingsError(
            f"the environment variable {name} holds no password",
            where=where,
            remedy="set it for the process of the node, or name a password_file",
        )
    return password


def _from_file(path: Path) -> str:
    why = ""
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o077:
                why = "is open to others"
            elif status.st_uid != os.geteuid():
                why = "belongs to somebody else"
            password = "" if why else file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
    else:
        why = why or ("" if password else "is empty")
    if why:
        raise SettingsError(
            f"the file of the password {why}",
            where=str(path),
            remedy="let it hold the password alone, owned by the node's user, chmod 600",
        )
    return password
