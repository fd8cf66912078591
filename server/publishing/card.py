"""The model card: what an initialization is for, how it came about, and how far it can be trusted.

Mitchell et al.: "Model Cards for Model Reporting", FAT* 2019, arXiv 1810.03993. Nothing is told
that is not in the run folder or the study.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.algorithms.base import find_algorithm
from common.features import num_inputs
from common.pages import DASH, listed
from common.publication.manifest import MODEL, ONNX, RECORDS, TENSORS
from common.study import Feature, Study, TaskRule
from server.publishing.blocks import Alarm, Block, Bullets, Grid, Para, Section, Terms
from server.publishing.card_evidence import benefit_section, metrics_section, privacy_section
from server.publishing.card_training import training_section
from server.publishing.reading import Given
from server.publishing.small import declares_few

Said = Mapping[str, Any]
NEVER = (
    "Deciding on the care of a patient: it is no medical device and was not tested as one.",
    "Predicting without adaptation: it is a starting point, made to be moved by the labelled "
    "patients of one hospital.",
    "Diagnoses, features, units or populations other than those below.",
    "Telling anything about a patient or a hospital that took part, or trying to restore them.",
    "A ranking of hospitals: what each contributed is not comparable.",
)
LIMITS = (
    "A hospital differs from the average of others. Measure on patients of your own before you "
    "believe any number here.",
    "Unusual values are cut off at the study's ranges, and missing ones are set to the middle of "
    "the range; patients who lack much are judged by little.",
    "Biases in how the hospitals chose, measured and labelled their patients are in the model. "
    "Subgroups were not audited.",
    "Privacy covers patients, within the stated epsilon if there is one; what is true of a whole "
    "hospital or group may be learned from the model.",
    "Whoever holds the file can train it on; the signature covers this folder only.",
)
ADAPT = (
    "wardround adapt --model FOLDER adapts it to labelled patients of one hospital. Its gate was "
    "not learned, since a federation sees no patients for that: the ways to predict count alike, "
    "corrected by the hospital's own patients."
)
NO_ADAPT = "wardround adapt cannot take this folder, because the study is not published."
UNFINISHED = (
    "UNFINISHED: the run is {phase}, {rounds} of {planned} rounds are done. Do not use it or pass "
    "it on as a result."
)


def card(given: Given, parts: Mapping[str, Said | None], created: str) -> tuple[str, list[Section]]:
    """Return title and sections; parts: privacy, metrics and benefit, None: not there."""
    study = given.study
    sections = [
        Section("", _opening(given, created)),
        Section("What it must not be used for", [Bullets(NEVER)]),
        Section("Features", _features(study)),
        Section("Diagnoses", _tasks(study)),
        training_section(given),
        privacy_section(parts["privacy"] or {}),
        metrics_section(parts["metrics"], study),
        benefit_section(parts["benefit"]),
        Section("Limitations", [Bullets(LIMITS)]),
        Section("How to use and check it", _use(given)),
    ]
    suffix = "" if given.finished else " (unfinished)"
    title = f"{study.name}: shared initialization{suffix}"
    return title, [section for section in sections if section.blocks]


def unfinished(given: Given) -> str:
    """Return the warning of an unfinished run, "" of a finished one."""
    if given.finished:
        return ""
    done, planned = given.state.round_index, given.study.server.rounds
    return UNFINISHED.format(phase=given.phase, rounds=done, planned=planned)


def _opening(given: Given, created: str) -> list[Block]:
    study, algorithm = given.study, find_algorithm(given.study.algorithm.name)
    blocks: list[Block] = [Alarm(unfinished(given))] if not given.finished else []
    blocks.append(Para(study.purpose or "The study states no purpose."))
    if given.simulated:
        blocks.append(
            Alarm("Simulation: the hospitals were virtual. This is no model of real hospitals.")
        )
    inputs = num_inputs(study.features)
    blocks.append(
        Terms(
            {
                "what": "Parameters from which a hospital's own model starts",
                "network": f"{inputs} inputs, {study.model.hidden} hidden units (ReLU), 2 logits; "
                f"{given.learner.dim:,} learned numbers",
                "algorithm": f"{algorithm.summary} ({algorithm.source})",
                "study": study.id,
                "exported": created,
            }
        )
    )
    return blocks


def _features(study: Study) -> list[Block]:
    head = ("feature", "kind", "unit", "usual range", "plausible range", "may be missing")
    return [
        Para(
            "The usual range scales a value to -2..2; outside the plausible range it counts as "
            "missing. Both are the study's, never taken from patients."
        ),
        Grid(head, [_feature(feature) for feature in study.features], words=True),
    ]


def _feature(feature: Feature) -> tuple[str, ...]:
    numeric = feature.kind == "numeric"
    usual = _range(feature.usual) + (", log" if feature.log else "") if numeric else DASH
    if feature.kind == "category":
        usual = ", ".join(map(str, feature.categories))
    plausible = _range(feature.plausible) if feature.plausible else DASH
    # a category has no indicator: a missing one is all zeros
    missing = "yes" if feature.may_be_missing or feature.kind == "category" else "no"
    return feature.name, feature.kind, feature.unit or DASH, usual, plausible, missing


def _tasks(study: Study) -> list[Block]:
    head = ("diagnosis", "label", "counts as yes", "features it may not see", "expected prevalence")
    return [Grid(head, [_task(task) for task in study.tasks], words=True)]


def _task(task: TaskRule) -> tuple[str, ...]:
    prevalence = _range(task.prevalence) if task.prevalence else DASH
    return (
        task.name,
        f"column {task.column}",
        _listed(task.positive),
        _listed(task.forbidden),
        prevalence,
    )


def _use(given: Given) -> list[Block]:
    files = {
        TENSORS: "the learned tensors",
        MODEL: "names of inputs, shapes, versions",
        ONNX: "the network's forward pass, where it could be written",
        RECORDS: "who took part in each round",
    }
    blocks: list[Block] = [
        Para("Check this folder, without a network: wardround verify DIR --key KEY, with the key "
             "that the coordinator told you by telephone, not the one in this folder."),
        Terms(files),
        Alarm(NO_ADAPT) if declares_few(given.study) else Para(ADAPT),
    ]  # fmt: skip
    if given.notes:
        blocks += [Para("Notes on this folder:")]
        blocks += [Bullets(given.notes)]
    return blocks


def _range(pair: Sequence[float]) -> str:
    return f"{pair[0]:g} to {pair[1]:g}"


def _listed(values: Sequence[object]) -> str:
    return listed(values) if values else DASH
