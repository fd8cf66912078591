"""The study: all that every party must agree on, in one file, checked in one place.

`study.toml` is read into a `Study`; its canonical JSON has a SHA-256, the study id, which every
message carries. A site takes part only in the study whose id it holds itself.
"""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, ValidationError, model_validator

from common.errors import SettingsError
from common.study_sections import (
    AlgorithmSettings,
    EpisodeSettings,
    EvaluationSettings,
    ModelSettings,
    Name,
    Part,
    PrivacySettings,
    ServerSettings,
    wrong_setting,
)

Value = str | bool | int | float
Size = Annotated[int, Field(ge=0)]
MOST_VOTES = 1_000_000
"""Patients of a site that a masked histogram can count: `common.privacy.masking.ring.LIMIT`."""


class Feature(Part):
    """One measured property of a patient.

    usual: the public range (about two standard deviations either way) that scales a numeric
    feature; no patient's value ever does. plausible: outside it a value counts as missing.
    log: the value enters as log(1 + value). may_be_missing: an indicator column is added.
    """

    name: Name
    kind: Literal["numeric", "binary", "category"] = "numeric"
    unit: str = ""
    usual: tuple[float, float] = (-2.0, 2.0)
    plausible: tuple[float, float] | None = None
    log: bool = False
    categories: tuple[Value, ...] = ()
    may_be_missing: bool = True

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.usual[0] >= self.usual[1]:
            raise ValueError(f"usual range of {self.name} is empty")
        if self.log and self.usual[0] <= -1:
            raise ValueError(f"usual range of {self.name} reaches -1, where log(1 + x) ends")
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(f"{self.name} needs categories if, and only if, its kind is category")
        return self


class TaskRule(Part):
    """A diagnosis: which values of which column are positive, and which features would leak it.

    prevalence: the range of shares of positive patients that the study expects at its sites.
    """

    name: Name
    column: Name
    positive: tuple[Value, ...] = (1,)
    forbidden: tuple[Name, ...] = ()
    prevalence: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.prevalence and not 0 <= self.prevalence[0] < self.prevalence[1] <= 1:
            raise ValueError(f"prevalence of {self.name} is no range of shares, such as [0.1, 0.4]")
        return self


class GroupRule(Part):
    """A division of patients by one feature: at the edges, or by category if there are none."""

    column: Name
    edges: tuple[float, ...] = ()


class StudySite(Part):
    """A site of the roster and its weight, which no client can assert.

    patients: the number of patient slots that the site has declared, public and fixed for the
    study; needed where noise is asked for. tasks: the names of those that it takes part in, again
    as declared; empty means all. classes: by task, how many negatives and positives the site has
    declared; it votes on these tasks when the coordinator measures the model. show_epsilon: the
    site allows the study's live page to show what the plan costs its patients.
    """

    name: Name
    weight: float = Field(default=1.0, gt=0)
    patients: int = Field(default=0, ge=0, le=100_000_000)
    tasks: tuple[Name, ...] = ()
    classes: dict[Name, tuple[Size, Size]] = Field(default_factory=dict)
    show_epsilon: bool = False


class Columns(Part):
    """Which columns of a table hold the patient's and the site's name."""

    patient: Name = "patient_id"
    site: Name = "site"


class Study(Part):
    """All settings of a study; see the module's docstring."""

    version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    name: Name
    purpose: str = ""
    columns: Columns = Columns()
    features: tuple[Feature, ...] = Field(min_length=1)
    tasks: tuple[TaskRule, ...] = Field(min_length=1)
    groups: tuple[GroupRule, ...] = ()
    sites: tuple[StudySite, ...] = ()
    model: ModelSettings = ModelSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    server: ServerSettings = ServerSettings()
    privacy: PrivacySettings = PrivacySettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _names(self) -> Self:
        features = [f.name for f in self.features]
        for kind, names in (
            ("feature", features),
            ("task", [t.name for t in self.tasks]),
            ("site", [s.name for s in self.sites]),
        ):
            if twice := {n for n in names if names.count(n) > 1}:
                raise ValueError(f"{kind} {min(twice)} is listed twice")
        for task in self.tasks:
            if task.column in features:
                raise ValueError(f"task {task.name} takes its label from a feature, {task.column}")
            if unknown := set(task.forbidden) - set(features):
                raise ValueError(f"task {task.name} forbids {min(unknown)}, which is no feature")
        for site in self.sites:
            if strange := set(site.tasks) - {task.name for task in self.tasks}:
                raise ValueError(f"site {site.name} declares {min(strange)}, which is no task")
        return self

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.privacy.noise_multiplier and self.episodes.prevalence != "natural":
            raise ValueError("groups of patients are drawn blindly: prevalence must be natural")
        if self.privacy.profile == "masked" and self.server.sites_per_round:
            raise ValueError("secure aggregation asks every site: sites_per_round must be 0")
        return self

    @model_validator(mode="after")
    def _votes(self) -> Self:
        masked, measured = self.privacy.profile == "masked", self.evaluation.metric_releases > 0
        for site in self.sites:
            offered = set(site.tasks) or {task.name for task in self.tasks}
            if strange := set(site.classes) - offered:
                raise ValueError(f"site {site.name} declares classes of {min(strange)}, not a task")
            most = max(map(sum, site.classes.values()), default=0)
            if most > site.patients:
                raise ValueError(f"site {site.name} declares {most} > {site.patients} patients")
            if measured and not site.classes:
                raise ValueError(f"metric_releases needs the classes that {site.name} declares")
            if measured and masked and site.patients > MOST_VOTES:
                raise ValueError(f"site {site.name} has over {MOST_VOTES} patients to be masked")
        return self

    @property
    def group_size(self) -> int:
        """Patients in a group, the unit that is clipped: support and query of one episode."""
        return self.episodes.support + self.episodes.query

    @property
    def id(self) -> str:
        """The SHA-256 of the study's canonical JSON, 64 hex digits."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()


def canonical_json(study: Study) -> str:
    """Return the one JSON text of a study: keys sorted, no blanks, all defaults written out."""
    dump = study.model_dump(mode="json", by_alias=True)
    return json.dumps(dump, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_study(path: Path) -> Study:
    """Return the study in a TOML file.

    Raises:
        SettingsError: the file is missing, is no TOML, or a setting is unknown or out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return make_study(tomllib.loads(text), where=str(path))
    except (OSError, ValueError, RecursionError) as error:  # of bytes, of TOML, of its depth
        why = error.strerror if isinstance(error, OSError) else "not valid TOML"
        raise SettingsError(
            f"the study cannot be read: {why}", where=str(path), remedy="name a study.toml"
        ) from error


def make_study(settings: dict[str, Any], *, where: str) -> Study:
    """Return the study of nested settings; `where` names their origin in errors.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    try:
        return Study.model_validate(settings)
    except ValidationError as error:
        remedy = "mend this setting; docs/study.md lists names and ranges"
        raise wrong_setting(error, whole="study", where=where, remedy=remedy) from error


def study_toml(study: Study) -> str:
    """Return the study as TOML text that `read_study` reads back to an equal study."""
    return tomli_w.dumps(study.model_dump(mode="json", by_alias=True, exclude_none=True))
