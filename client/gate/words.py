"""A study in plain words, as the person reads it who decides for a hospital."""

from collections.abc import Iterator

from client.gate.proposal import Proposal
from common.learner import make_learner
from common.privacy.profiles import PROFILES
from common.study import Study

Section = tuple[str, list[str]]


def sections(proposal: Proposal) -> Iterator[Section]:
    """Yield headings and sentences: purpose, who, what is read, what leaves, the price, limits."""
    study, seal = proposal.study, proposal.signed.seal
    yield (
        f"Study {study.name}",
        [
            study.purpose or "(no purpose is given)",
            f"id {study.id}",
            f"signed by {seal.key}, the coordinator of your site.toml",
        ],
    )
    yield "Who takes part", _who(study, proposal.hospital.name)
    yield "What is read here, and not written to", _read(proposal)
    yield "What is computed here", _computed(study)
    yield "What leaves", list(_leaves(study))
    yield "What it costs your patients", _costs(proposal)
    yield "Your own limits", [one.what for one in proposal.objections] or ["All are kept."]


def _who(study: Study, name: str) -> list[str]:
    if not study.sites:
        return ["Whoever answers: the study names no sites."]
    names = [f"{s.name} (you)" if s.name == name else s.name for s in study.sites]
    return [f"{len(names)} sites: {', '.join(names)}."]


def _read(proposal: Proposal) -> list[str]:
    study, rules = proposal.study, proposal.hospital.rules
    local = {rule.study: rule.local for rule in rules.columns}
    features = [f.name + _here(local, f.name) for f in study.features]
    labels = [t.name + _here(local, t.column) for t in study.tasks]
    return [
        f"From your {proposal.hospital.source.kind} source, one row a patient:",
        f"measurements {', '.join(features)};",
        f"diagnoses {', '.join(labels)}.",
    ]


def _here(local: dict[str, str], column: str) -> str:
    return f" (your {local[column]})" if local.get(column, column) != column else ""


def _computed(study: Study) -> list[str]:
    episodes, algorithm = study.episodes, study.algorithm
    return [
        f"{algorithm.name}: a model of {make_learner(study, seed=0).dim} numbers is adapted to "
        f"{episodes.support} of your patients in {algorithm.inner_steps} steps, and judged on "
        f"{episodes.query} others;",
        f"in {study.server.rounds} rounds, and up to {study.privacy.spare_rounds} that fail.",
    ]


def _leaves(study: Study) -> Iterator[str]:
    privacy, dim = study.privacy, make_learner(study, seed=0).dim
    yield f"Each round one vector of {dim} numbers: how the model should change. No row, no count."
    if privacy.noise_multiplier:
        std = privacy.noise_multiplier * (privacy.clip_norm or 0.0)
        yield (
            f"Each {study.group_size} patients together move it by {privacy.clip_norm:g} at most, "
            f"and noise of {std:g} is added to every number before it leaves."
        )
    profile = PROFILES[privacy.profile]
    yield f"Profile {privacy.profile}: {profile.gives}"
    yield f"Not protected: {profile.lacks}"


def _costs(proposal: Proposal) -> list[str]:
    if proposal.cost is None:
        return ["Nothing is promised to them and nothing is accounted for: for public data only."]
    cost, balance = proposal.cost, proposal.balance
    price = (
        f"epsilon {cost.replace_one:.3f} for exchanging one patient, {cost.zero_out:.3f} for "
        f"leaving one out, delta {cost.delta:g}, over the whole study."
    )
    if balance is None:
        return [price]
    left = f"Cohort {proposal.cohort} has {balance.left:.3f} left of {balance.cap:g}"
    return [
        price,
        f"{left}; reserved for all its studies: {balance.reserved:.3f}.",
    ]
