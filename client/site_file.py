"""site.toml: what a hospital has decided for itself. It never leaves the hospital.

A node's folder holds it; paths in it are relative to that folder:

    site.toml     this file
    state/        keys, ledger, approvals, audit log: mode 0700, nobody else's business

Without it, or with a mistake in it, nothing runs. Every value that is not written here is the
strict one. docs/site.md explains each setting.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from client.source_settings import SourceSettings
from common.errors import SettingsError
from common.study import Value
from common.study_sections import Name, Part, Profile, wrong_setting

SITE_FILE, STATE = "site.toml", "state"
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class CoordinatorSettings(Part):
    """Whose studies are believed, and how its network is reached.

    key: the Ed25519 public key that signs studies, hex; without it no study can be approved.
    address: host:port of the only connection that this hospital opens. ca: its certificate
    authority. node_key: the key by which Flower knows this node. roster: the sites' own list of
    keys, for the masked profile.
    """

    key: Hex64 | None = None
    address: str = ""
    ca: str = "ca.crt"
    node_key: str = "node.key"
    roster: str = "roster.json"


class ColumnRule(Part):
    """Where a column of the study is found at this hospital.

    study: a feature, a task's label column, or the patient column. local: the column's name here,
    "" where this hospital has none: it is then missing for every patient.
    unit: in which its numbers are given here; they are converted to the study's. values: what an
    entry here is called in the study, such as {"1": "M", "2": "F"}. missing: entries that mean "not
    known" in this column, beside those of RowRules. molar_mass: in g/mol, where mass becomes moles
    of a substance that client.mapping.unit_table does not have.
    """

    study: Name
    local: Annotated[str, Field(max_length=80)]
    unit: str = ""
    values: Mapping[str, Value] = Field(default_factory=dict)
    missing: tuple[Value, ...] = ()
    molar_mass: float = Field(default=0.0, ge=0, le=1e6)


class RowRules(Part):
    """What happens to rows that do not fit.

    impossible: an entry that is no number, out of the plausible range or of no listed category:
    becomes missing, costs its row, or the whole reading. duplicates: rows of one patient beyond
    the first: refuse the reading, or leave the patient out altogether. max_rows: more than these
    are refused, which bounds memory. timezone: of dates that have none. missing: entries that mean
    "not known" in every column, such as ["?", -9]; an empty one always does.
    """

    impossible: Literal["missing", "exclude", "refuse"] = "refuse"
    duplicates: Literal["exclude", "refuse"] = "refuse"
    max_rows: int = Field(default=2_000_000, ge=1)
    timezone: str = "UTC"
    missing: tuple[Value, ...] = ()


class Limits(Part):
    """What this hospital takes part in; the coordinator can only be stricter.

    profiles: of privacy. unprotected: also studies without protection, for public data only.
    algorithms: empty allows all that fit a ledger. min_cohort, colluders, fast_path: of secure
    aggregation (client.membership). min_patients: that this site has declared for the study.
    max_*: upper ends of what a study may ask of this hospital; max_epsilon is of one study.
    metrics: whether noised histograms of scores may leave. approval_days: how long a yes holds.
    """

    profiles: tuple[Profile, ...] = ("masked", "robust")
    unprotected: bool = False
    algorithms: tuple[Name, ...] = ()
    min_cohort: int = Field(default=5, ge=3, le=10_000)
    colluders: int = Field(default=1, ge=0, le=10_000)
    fast_path: bool = True
    min_patients: Count = 100
    max_epsilon: float = Field(default=8.0, gt=0, le=1000)
    max_rounds: Count = 1000
    max_inner_steps: Count = 20
    max_inner_lr: float = Field(default=1.0, gt=0, le=10)
    max_meta_batch: Count = 64
    max_hidden: Count = 1024
    metrics: bool = False
    approval_days: int = Field(default=90, ge=1, le=3650)


class ServiceSettings(Part):
    """How the node runs on this machine (docs/node-service.md).

    metrics_port: of Prometheus metrics on loopback; 0: none. runtime_port: on loopback, between the
    node's own processes; 0: a free one is chosen. log_level: of state/node.log.
    """

    metrics_port: int = Field(default=0, ge=0, le=65535)
    runtime_port: int = Field(default=0, ge=0, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class SiteFile(Part):
    """All of site.toml. source: None until `wardround node map` has added one."""

    version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    site: Name
    coordinator: CoordinatorSettings = CoordinatorSettings()
    source: SourceSettings | None = None
    columns: tuple[ColumnRule, ...] = ()
    rows: RowRules = RowRules()
    limits: Limits = Limits()
    service: ServiceSettings = ServiceSettings()

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [rule.study for rule in self.columns]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"column {min(twice)} of the study is mapped twice")
        return self


def read_site_file(folder: Path) -> SiteFile:
    """Return what the hospital has decided in a node's folder.

    Raises:
        SettingsError: there is no site.toml, it is no TOML, or a setting is unknown or wrong.
    """
    path = folder / SITE_FILE
    try:
        return SiteFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        remedy = "mend this setting; docs/site.md lists names and ranges"
        raise wrong_setting(error, whole=SITE_FILE, where=str(path), remedy=remedy) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not valid TOML"
        raise SettingsError(
            f"the hospital's own rules cannot be read: {why}",
            where=str(path),
            remedy="`wardround node map` writes a first site.toml; without one nothing runs",
        ) from None
