"""A query of site.toml: one SELECT, as far as words can tell.

What protects the database is its read-only transaction; this check is there so that a slip is told
before anything is sent.
"""

import re

from common.errors import SettingsError

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CHANGES = re.compile(
    r"\b(insert|update|delete|merge|into|create|alter|drop|truncate|grant|revoke|copy|call|"
    r"attach|pragma|vacuum)\b",
    re.IGNORECASE,
)


def one_select(query: str) -> str:
    """Return a query without its closing semicolon.

    Raises:
        SettingsError: it is anything else than one SELECT (or WITH ... SELECT).
    """
    body = query.strip().removesuffix(";").rstrip()
    words = _QUOTED.sub(" ' ", body)
    why = ""
    if not re.match(r"(select|with)\b", words.lstrip(), re.IGNORECASE):
        why = "does not begin with SELECT or WITH"
    elif ";" in words:
        why = "is more than one statement"
    elif words.count("(") != words.count(")"):
        why = "has a bracket too many or too few"
    elif found := _CHANGES.search(words):
        why = f"has the word {found[0].upper()}"
    if why:
        raise SettingsError(
            f"source.query {why}",
            where="site.toml",
            remedy="give one SELECT; a column of such a name stands in quotes",
        )
    return body
