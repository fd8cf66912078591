"""Writing site.toml: a first one with every setting spelt out, and rules added to an old one.

An engineer's file is only ever appended to; not a byte of it is rewritten.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from client.cells import cell_of
from client.mapping.proposing import Proposal
from client.site_file import (
    SITE_FILE,
    ColumnRule,
    CoordinatorSettings,
    Limits,
    RowRules,
    SiteFile,
)
from client.source_settings import SourceSettings
from common.errors import SettingsError
from common.files import write_atomically
from common.study import Value

HEAD = """# What this hospital has decided for itself. It never leaves the hospital.
# Every value is the strict default until you change it; docs/site.md explains each one.
"""
ABOUT: dict[str, dict[str, str]] = {
    "coordinator": {
        "key": "the coordinator's public key, hex: without it no study can be approved",
        "address": "host:port of the only connection that this hospital opens",
        "ca": "certificate authority of that connection, a file of this folder",
        "node_key": "the key by which Flower knows this node, a file of this folder",
        "roster": "the sites' own list of keys, for the masked profile",
    },
    "rows": {
        "impossible": "an entry that cannot be: refuse the reading, exclude its row, or missing",
        "duplicates": "two rows of one patient: refuse the reading, or exclude the patient",
        "max_rows": "more rows than these are refused, which bounds memory",
        "timezone": "of dates that have none",
        "missing": 'entries that mean "not known" in every column, such as ["?", -9]',
    },
    "limits": {
        "profiles": "privacy profiles that a study may have",
        "unprotected": "true: also studies without protection, for public data only",
        "algorithms": "empty: all that fit a ledger",
        "min_cohort": "fewest hospitals in a secure aggregation",
        "colluders": "hospitals that may conspire without learning this one's update",
        "fast_path": "the quicker protocol of secure aggregation while no hospital drops out",
        "min_patients": "fewest patients that this hospital takes part with",
        "max_epsilon": "most privacy loss that one study may cost a patient",
        "max_rounds": "most rounds of a study",
        "max_inner_steps": "most steps of the inner loop",
        "max_inner_lr": "largest step of it",
        "max_meta_batch": "most episodes a round",
        "max_hidden": "widest model",
        "metrics": "true: noised histograms of scores may leave, under the same ledger",
        "approval_days": "how long a yes to a study holds",
    },
}
"""One line on each setting, for whoever reads site.toml."""


def first_site_toml(site: str, source: SourceSettings, proposals: Sequence[Proposal]) -> str:
    """Return a whole site.toml: strict defaults spelt out, and the proposed columns."""
    marks = _marks(proposals)
    rules = [_without(one.rule, marks) for one in proposals if one.rule]
    reasons = [one.why for one in proposals if one.rule]
    parts = [
        HEAD,
        f"schema = 1\nsite = {_toml(site)}  # this hospital's name in a study's roster\n",
        _section("coordinator", CoordinatorSettings()),
        _source(source),
        _section("rows", RowRules(missing=marks)),
        _section("limits", Limits()),
        "# Where each column of the study is found here; correct what is wrong.\n"
        + "\n".join(rule_text(rule, why) for rule, why in zip(rules, reasons, strict=True)),
    ]
    open_ones = [one.wanted.name for one in proposals if not one.rule]
    return "\n".join([*parts, *(_open(name) for name in open_ones)])


def joined_site_toml(site: str, coordinator: CoordinatorSettings) -> str:
    """Return a site.toml without source and columns yet; its strict defaults stand as comments."""
    held = "\n".join(
        _section(name, rules) for name, rules in (("rows", RowRules()), ("limits", Limits()))
    )
    parts = [
        HEAD,
        f"schema = 1\nsite = {_toml(site)}  # this hospital's name in a study's roster\n",
        _section("coordinator", coordinator),
        "# What holds as long as nothing else stands here; take the # away to change it.",
        *(f"# {line}".rstrip() for line in held.splitlines()),
    ]
    return "\n".join([*parts, ""])


def rule_text(rule: ColumnRule, why: Sequence[str]) -> str:
    """Return a rule as a table of TOML, its reasons before it."""
    dump = rule.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{key} = {_toml(value)}" for key, value in dump.items()]
    return "\n".join([*(f"# {_one_line(text)}" for text in why), "[[columns]]", *lines, ""])


def write_first(folder: Path, text: str) -> None:
    """Write a first site.toml, for its owner alone, once it reads back.

    Raises:
        SettingsError: there is one already, or this one would not be valid.
    """
    path = folder / SITE_FILE
    if path.exists():
        raise SettingsError("there is a site.toml", where=str(path), remedy="edit that one")
    _checked(text, path)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, text.encode())  # of mode 0600


def append_source(folder: Path, source: SourceSettings) -> None:
    """Add where patients are read to a site.toml that does not say it yet, such as after a join.

    Raises:
        SettingsError: it cannot be added to this file as text.
    """
    path = folder / SITE_FILE
    after = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" + _source(source)
    _checked(after, path)
    write_atomically(path, after.encode())


def append_rules(folder: Path, proposals: Iterable[Proposal]) -> int:
    """Add rules for the columns that site.toml does not have; return their number.

    Raises:
        SettingsError: rules cannot be added to this file as text.
    """
    path = folder / SITE_FILE
    before = path.read_text(encoding="utf-8")
    new = [one for one in proposals if one.rule and not one.given]
    added = "\n".join(rule_text(one.rule, one.why) for one in new if one.rule)
    if not added:
        return 0
    after = before.rstrip("\n") + "\n\n" + added
    _checked(after, path)
    write_atomically(path, after.encode())
    return len(new)


def _checked(text: str, path: Path) -> None:
    try:
        SiteFile.model_validate(tomllib.loads(text))
    except ValueError:  # of TOML and of pydantic
        raise SettingsError(
            "the rules cannot be added to this file",
            where=str(path),
            remedy="write columns as [[columns]] tables, not as `columns = [...]`",
        ) from None


def _marks(proposals: Sequence[Proposal]) -> tuple[Value, ...]:
    """Return the texts that mean missing in any column: they hold for all, said once."""
    found = [mark for one in proposals if one.rule for mark in one.rule.missing]
    listed = {
        cell_of(category)
        for one in proposals
        if one.wanted.feature
        for category in one.wanted.feature.categories
    }
    texts = dict.fromkeys(mark for mark in found if isinstance(mark, str))
    return tuple(mark for mark in texts if cell_of(mark) not in listed)


def _without(rule: ColumnRule, marks: Sequence[Value]) -> ColumnRule:
    return rule.model_copy(update={"missing": tuple(m for m in rule.missing if m not in marks)})


def _section(name: str, settings: BaseModel) -> str:
    lines = [f"[{name}]"]
    for key, value in settings.model_dump(mode="json").items():
        text = f"{key} = {_toml(value)}" if value is not None else f'# {key} = ""'
        lines.append(f"{text}  # {ABOUT[name][key]}")
    return "\n".join([*lines, ""])


def _source(source: SourceSettings) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in source.model_dump(mode="json").items()]
    about = "# Where patients are read, read-only. A password never stands here."
    return "\n".join([about, "[source]", *lines, ""])


def _open(name: str) -> str:
    rule = f'# [[columns]]\n# study = {_toml(name)}\n# local = ""\n'
    return f'# Open: no column was found for {_one_line(name)}; "" says that there is none.\n{rule}'


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _toml(value: Any) -> str:
    """Return a value as TOML: JSON's strings and numbers are TOML's, but for DEL."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
