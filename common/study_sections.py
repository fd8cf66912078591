"""Sections of a study: what is computed, how rounds are run, what protects the patients."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.errors import SettingsError

Name = Annotated[str, Field(min_length=1, max_length=80)]
Share = Annotated[float, Field(gt=0, le=1)]
Profile = Literal["none", "masked", "robust"]


def wrong_setting(error: ValidationError, *, whole: str, where: str, remedy: str) -> SettingsError:
    """Return the error of the first setting that does not fit; whole: its name if it is them all.

    The value is not quoted: a secret may stand in the wrong place.
    """
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or whole
    what = first["msg"].removeprefix("Value error, ")
    return SettingsError(f"{place}: {what}", where=where, remedy=remedy)


class Part(BaseModel):
    """A part of a study: frozen, of known keys and finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSettings(Part):
    """The reference model: inputs - `hidden` - 2."""

    hidden: int = Field(default=64, ge=1, le=4096)


class AlgorithmSettings(Part):
    """Which algorithm, and its inner loop."""

    name: Name = "maml"
    inner_lr: float = Field(default=0.1, ge=0, le=10)
    inner_steps: int = Field(default=5, ge=0, le=100)
    options: dict[str, float] = {}


class EpisodeSettings(Part):
    """What a site draws in a round, in patients."""

    support: int = Field(default=10, ge=1, le=10_000)
    query: int = Field(default=15, ge=1, le=10_000)
    meta_batch: int = Field(default=8, ge=1, le=1_000)
    prevalence: Literal["natural", "balanced"] = "natural"


class ServerSettings(Part):
    """The outer loop and the rules of a round.

    sites_per_round: 0 asks all sites. quorum: the share of the asked sites without which a round
    does not count; close_at: the share after which it closes without waiting for the others.
    """

    optimizer: Literal["sgd", "adam", "yogi"] = "adam"
    meta_lr: float = Field(default=0.003, gt=0, le=100)
    rounds: int = Field(default=200, ge=1, le=1_000_000)
    sites_per_round: int = Field(default=0, ge=0)
    quorum: Share = 0.5
    close_at: Share = 1.0
    deadline_s: float = Field(default=120.0, gt=0, le=86_400)
    attempts: int = Field(default=3, ge=1, le=100)
    max_update_norm: float = Field(default=1e4, gt=0)


class PrivacySettings(Part):
    """What protects the patients of a site: docs/privacy.md.

    profile: "masked" (noise at the site and secure aggregation), "robust" (noise at the site and
    robust aggregation of single updates), or "none", which promises nothing and is for simulations.
    clip_norm: the Euclidean norm that one group's update may have, of FedAvg and its kin without
    noise a site's whole update. noise_multiplier: the noise's standard deviation in clip norms,
    before the sum is divided by the expected number of groups. coin: the probability that a group
    takes part in a round. delta: of the (epsilon, delta) that the site's ledger accounts for.
    spare_rounds: so many releases beyond the study's rounds are reserved for rounds that fail.
    aggregation: how updates are put together, the mean or one that is installed and needs them one
    by one, as the robust profile does.
    malicious_share: the share of sites that robust aggregation has to withstand.
    """

    profile: Profile = "none"
    clip_norm: float | None = Field(default=None, gt=0, le=1000)
    noise_multiplier: float = Field(default=0.0, ge=0, le=1000)
    coin: Share = 0.1
    delta: float = Field(default=1e-5, gt=0, le=1e-3)
    spare_rounds: int = Field(default=0, ge=0, le=1_000_000)
    aggregation: Name = "mean"
    malicious_share: float = Field(default=0.2, ge=0, lt=0.5)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.noise_multiplier and self.clip_norm is None:
            raise ValueError("noise_multiplier is relative to clip_norm, which is not set")
        if self.profile != "none" and not self.noise_multiplier:
            raise ValueError(f"the {self.profile} profile needs clip_norm and noise_multiplier")
        if self.aggregation != "mean" and self.profile == "masked":
            raise ValueError(f"{self.aggregation} needs single updates; a masked sum has none")
        if self.aggregation == "mean" and self.profile == "robust":
            raise ValueError("the robust profile needs an aggregation other than the mean")
        return self


class EvaluationSettings(Part):
    """What is measured on held-out tasks: k labelled patients, and how many draws of them.

    min_per_class: a task needs so many patients of each class in its test half. max_tasks: of more
    held-out tasks, so many are drawn at random and scored. metric_releases: so many histograms of
    scores leave a site at most over the whole study, each with noise of metric_std votes a bin;
    0: none ever does.
    """

    k: tuple[Annotated[int, Field(ge=0, le=100_000)], ...] = (0, 5, 10, 20, 50)
    k_per_class: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = (1, 5, 10)
    draws: int = Field(default=30, ge=2, le=10_000)
    min_per_class: int = Field(default=8, ge=2)
    max_tasks: int = Field(default=40, ge=1)
    metric_releases: int = Field(default=0, ge=0, le=1_000)
    metric_std: float = Field(default=10.0, ge=0.1, le=1e6)
