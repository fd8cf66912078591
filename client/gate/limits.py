"""What in a study goes beyond a hospital's own limits.

Public, declared numbers only: that a study is refused says nothing about patients.
"""

from collections.abc import Iterator
from typing import NamedTuple

from client.site_file import Limits
from common.study import Study, StudySite

OUTSIDE, SMALL, UNPROTECTED, METRICS = (
    "outside-policy",
    "cohort-too-small",
    "unprotected",
    "metric-not-allowed",
)


class Objection(NamedTuple):
    """A reason to refuse: its code, which may leave, and what it means here."""

    code: str
    what: str


def objections(study: Study, limits: Limits, site: str, *, epsilon: float) -> list[Objection]:
    """Return everything in a study that the hospital's limits do not allow; best none.

    epsilon: the price of the whole study, replace-one.
    """
    found = [*_profile(study, limits), *_cohort(study, limits, site), *_settings(study, limits)]
    if study.evaluation.metric_releases and not limits.metrics:
        releases = study.evaluation.metric_releases
        found.append(Objection(METRICS, f"{releases} releases of metrics; limits.metrics is false"))
    if epsilon > limits.max_epsilon:
        found.append(_above("epsilon", epsilon, "max_epsilon", limits.max_epsilon))
    return found


def _profile(study: Study, limits: Limits) -> Iterator[Objection]:
    profile = study.privacy.profile
    if profile == "none":
        if not limits.unprotected:
            what = "it protects no patient, and limits.unprotected is false"
            yield Objection(UNPROTECTED, what)
        if study.privacy.noise_multiplier:
            yield Objection(OUTSIDE, "it asks for noise that nobody would account for")
    elif profile not in limits.profiles:
        yield Objection(OUTSIDE, f"profile {profile} is not among {', '.join(limits.profiles)}")


def _cohort(study: Study, limits: Limits, site: str) -> Iterator[Objection]:
    if study.privacy.profile == "none" and not study.sites:
        return
    own: StudySite | None = next((s for s in study.sites if s.name == site), None)
    if own is None:
        yield Objection(OUTSIDE, f"its roster does not name {site}")
    if study.privacy.profile == "none":
        return
    if len(study.sites) < limits.min_cohort:
        yield Objection(SMALL, f"{len(study.sites)} sites; min_cohort is {limits.min_cohort}")
    if own and own.patients < limits.min_patients:
        what = f"{own.patients} declared patients; min_patients is {limits.min_patients}"
        yield Objection(SMALL, what)


def _settings(study: Study, limits: Limits) -> Iterator[Objection]:
    algorithm = study.algorithm
    if limits.algorithms and algorithm.name not in limits.algorithms:
        allowed = ", ".join(limits.algorithms)
        yield Objection(OUTSIDE, f"algorithm {algorithm.name} is not among {allowed}")
    rounds = study.server.rounds + study.privacy.spare_rounds
    for name, value, most in (
        ("rounds", rounds, limits.max_rounds),
        ("inner_steps", algorithm.inner_steps, limits.max_inner_steps),
        ("inner_lr", algorithm.inner_lr, limits.max_inner_lr),
        ("meta_batch", study.episodes.meta_batch, limits.max_meta_batch),
        ("hidden", study.model.hidden, limits.max_hidden),
    ):
        if value > most:
            yield _above(name, value, f"max_{name}", most)


def _above(name: str, value: float, limit: str, most: float) -> Objection:
    return Objection(OUTSIDE, f"{name} is {value:g}; {limit} is {most:g}")
