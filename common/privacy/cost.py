"""What a study would cost the patients of a site, before anybody takes part in it.

Only public, declared numbers enter: whether a site may take part says nothing about its patients.
"""

import math
from typing import NamedTuple

from common.errors import PrivacyError
from common.privacy.accounting import Event, GradientRounds, MetricReleases, epsilon
from common.privacy.ballots import ballots_of
from common.study import Study, StudySite

FEWEST_GROUPS = 8
"""Groups that a release is expected to sum: of fewer, single patients can be told by algebra."""
_ROUNDING = 1e-9


class StudyCost(NamedTuple):
    """The whole plan of a study at a site and its price, which the site's ledger reserves.

    study: the study's id. groups: G, of which each takes part with probability coin. gradients: all
    releases of updates, spare rounds included. replace_one, zero_out: epsilon at `delta`.
    """

    study: str
    name: str
    site: str
    groups: int
    clip_norm: float
    gradients: GradientRounds
    metrics: MetricReleases | None
    delta: float
    replace_one: float
    zero_out: float

    @property
    def events(self) -> tuple[Event, ...]:
        """All releases of the plan."""
        return (self.gradients, self.metrics) if self.metrics else (self.gradients,)


def study_cost(study: Study, site: str, *, group_wise: bool) -> StudyCost:
    """Return what the study would cost the patients of `site`.

    group_wise: the study's algorithm makes an update of one group from that group's rows and
    public values alone.

    Raises:
        SettingsError: dp-accounting is not installed.
        PrivacyError: the site is not of the roster, or the study is one that no epsilon describes.
    """
    groups = _groups(study, declared(study, site))
    _covered(study, declared(study, site), group_wise=group_wise)
    gradients, metrics = planned_rounds(study), planned_metrics(study, site)
    events = (gradients, metrics) if metrics else (gradients,)
    delta = study.privacy.delta
    replace_one, zero_out = (epsilon(events, delta, way) for way in ("replace-one", "zero-out"))
    if not math.isfinite(replace_one + zero_out):
        raise _refusal(study, "epsilon is beyond all bounds", "raise noise_multiplier")
    clip_norm = study.privacy.clip_norm
    assert clip_norm is not None  # noqa: S101 (checked by _covered)
    return StudyCost(
        study.id, study.name, site, groups, clip_norm, gradients, metrics,
        delta, replace_one, zero_out,
    )  # fmt: skip


def planned_rounds(study: Study) -> GradientRounds:
    """Return the releases of updates that a site would make at most."""
    privacy = study.privacy
    return GradientRounds(
        noise_multiplier=privacy.noise_multiplier,
        coin=privacy.coin,
        rounds=study.server.rounds + privacy.spare_rounds,
    )


def planned_metrics(study: Study, site: str) -> MetricReleases | None:
    """Return the histograms that a site would release at most, or None if it votes on no task.

    Those beyond the study's ballots are for ballots whose sum is lost and has to be asked for anew.
    """
    if not any(site in ballot.declared for ballot in ballots_of(study).planned):
        return None
    evaluation = study.evaluation
    return MetricReleases(std=evaluation.metric_std, releases=evaluation.metric_releases)


def epsilon_of_sums(study: Study, site: str, *, honest: int, group_wise: bool) -> float:
    """Return replace-one epsilon if only sums are seen in which `honest` sites add full noise.

    A second number, never the headline: it trusts the other sites. A release of site j is scaled
    by a_j = w_j / (coin G_j), so the sum's noise is sigma sqrt(sum_j a_j^2) / a_i in clip norms of
    site i. Which of the other sites are honest is not known: those with the smallest a_j are taken.

    Raises:
        SettingsError: dp-accounting is not installed.
        PrivacyError: as `study_cost`; or so many sites are not in the roster.
    """
    cost = study_cost(study, site, group_wise=group_wise)
    sizes = {s.name: _groups(study, s) for s in study.sites}
    others = sorted(
        s.weight / sizes[s.name] for s in study.sites if s.name != site and sizes[s.name]
    )
    if not 1 <= honest <= len(others) + 1:
        raise _refusal(study, f"{honest} honest sites", "give 1 up to the number of sites")
    own = declared(study, site).weight / cost.groups
    gain = math.hypot(own, *others[: honest - 1]) / own
    sums = GradientRounds(
        noise_multiplier=gain * study.privacy.noise_multiplier,
        coin=cost.gradients.coin,
        rounds=cost.gradients.rounds,
    )
    metrics = (cost.metrics,) if cost.metrics else ()  # whose sums may have other honest sites
    return epsilon([sums, *metrics], cost.delta)


def declared(study: Study, site: str) -> StudySite:
    """Return the roster's entry of a site.

    Raises:
        PrivacyError: the study's roster does not hold it.
    """
    for one in study.sites:
        if one.name == site:
            return one
    raise _refusal(study, f"{site} is not in the roster", "agree on a study that lists the site")


def _groups(study: Study, site: StudySite) -> int:
    """Return G: disjoint groups of exactly `group_size` slots; left-over slots are idle."""
    return site.patients // study.group_size


def _covered(study: Study, site: StudySite, *, group_wise: bool) -> None:
    """Refuse a study that breaks an assumption of the accountant."""
    privacy, expected = study.privacy, study.privacy.coin * _groups(study, site)
    most = site.patients**-1.1 if site.patients else 1.0
    checks = (
        (group_wise, f"{study.algorithm.name} makes no update of one group alone",
         "choose an algorithm that does; docs/algorithms.md"),
        (study.episodes.prevalence == "natural", "groups drawn by label tell about labels",
         "set prevalence to natural"),
        (privacy.clip_norm is not None, "clip_norm is not set", "set clip_norm"),
        (privacy.noise_multiplier > 0, "the study asks for no noise", "set noise_multiplier"),
        (site.patients > 0, f"{site.name} declares no patients", "declare patients in the roster"),
        (expected >= FEWEST_GROUPS - _ROUNDING,
         f"{expected:g} groups a round are expected of {site.name}, fewer than {FEWEST_GROUPS}",
         "raise coin, make groups smaller, or leave the study to larger sites"),
        (privacy.delta <= most,
         f"delta is {privacy.delta:g}, more than {site.patients} patients ^ -1.1 = {most:.3g}",
         f"set delta to at most {most:.2g}"),
    )  # fmt: skip
    for holds, what, remedy in checks:
        if not holds:
            raise _refusal(study, what, remedy)


def _refusal(study: Study, what: str, remedy: str) -> PrivacyError:
    return PrivacyError(what, where=f"study {study.name}", remedy=remedy)


def gradient_parameters(rounds: GradientRounds, clip_norm: float) -> dict[str, float]:
    """Return what a release of an update was made with, which a ledger holds it to."""
    return {
        "noise_multiplier": rounds.noise_multiplier,
        "coin": rounds.coin,
        "clip_norm": clip_norm,
    }


def metric_parameters(metrics: MetricReleases) -> dict[str, float]:
    """Return what a release of metrics was made with, which a ledger holds it to."""
    return {"std": metrics.std}
