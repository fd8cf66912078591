"""The card of a personal model: one page that says what it is and how far it can be trusted."""

from collections.abc import Iterator, Mapping
from typing import Any

from client.card_figure import figure
from client.evidence import ADAPTED, INTERCEPT, LOCAL, PREVALENCE, ZERO, Evidence, Value
from client.personal import Fit, Personal
from common.pages import (
    DASH,
    MINUS,
    Html,
    count,
    definitions,
    element,
    joined,
    listed,
    number,
    page,
    table,
)

WAYS = {
    ADAPTED: "The personal model: all candidates below, mixed by the federation's gate and fitted "
    "to your patients.",
    ZERO: "The federation's starts as they are, averaged; your patients change nothing.",
    INTERCEPT: "The same, moved up or down by how frequent the diagnosis is among your patients.",
    LOCAL: "Logistic regression on your patients alone; its penalty is chosen among them.",
    PREVALENCE: "Everybody gets the share of your patients with the diagnosis; it ranks nobody.",
}
READING = {
    "left out": "Each patient is predicted by a model that was fitted to the others. With few "
    "patients this makes AUROC look somewhat too low, for every way that follows the prevalence: a "
    "patient with the diagnosis, left out, lowers it. The weights between "
    "the candidates have seen all of your patients, which is slightly too favourable.",
    "AUROC": "The chance that a patient with the diagnosis gets a higher probability than one "
    "without; 0.5 is guessing. Its interval is Newcombe's (2006).",
    "Brier, log-loss": "Judge the probabilities themselves; lower is better. Their intervals are "
    "from 4,000 bootstraps of your patients, within those with and those without.",
    "what is missing": "The starts, the gate and its settings were fixed before your patients were "
    "seen. Another hospital, another year or other ways to choose patients can differ by more than "
    "these intervals.",
}
PRIVATE = (
    "The folder of this card holds your patients' encoded values and labels (personal.safetensors, "
    "and model.onnx if it is there): it is patient data and stays where patient data may be. The "
    "dots on this page are patients too, without their names."
)
WEIGHTS = {
    True: "The weights were learned on the federation's validation tasks; your patients' own "
    "evidence counts as much as those tasks showed it to deserve.",
    False: "Nobody has taught the weights: all ways count alike, corrected by your patients' own "
    "evidence.",
}
"""By whether the gate was learned."""
NO_CLAIM = "This is no medical device, and nothing here says that care gets better by using it."


def card_html(personal: Personal, fitted: Fit, evidence: Evidence, about: Mapping[str, Any]) -> str:
    """Return the card as the text of one HTML file."""
    parts = (
        *_opening(personal, about),
        *_performance(evidence),
        *_sets(personal, evidence),
        *_candidates(evidence, taught=fitted.tasks > 0),
        *_origin(fitted, about),
        *_reading(),
    )
    return page(f"{personal.task.name}: personal model", joined(parts))


def _opening(personal: Personal, about: Mapping[str, Any]) -> Iterator[Html]:
    task = personal.task.name
    yield element("h1", f"{task}: personal model")
    yield element(
        "p",
        f"Adapted to {count(about['patients'], 'labelled patient')} of this hospital, "
        f"{about['positives']} with {task}.",
        css="purpose",
    )
    yield element("p", about["sentence"].replace("-0.", f"{MINUS}0."), css="lead")
    if about["warnings"]:
        notes = element("ul", *(element("li", text) for text in about["warnings"]))
        yield element("section", element("h2", "Before you believe it"), notes, css="box")


def _performance(evidence: Evidence) -> Iterator[Html]:
    yield element("h2", "On your patients, each left out in turn")
    rows = [
        (element("strong", name) if name == ADAPTED else name, *map(_cell, score))
        for name, score in evidence.scores.items()
    ]
    yield table(("", "AUROC", "Brier", "log-loss"), rows, css="inline")
    yield element(
        "figure",
        figure(evidence.p, evidence.y),
        element(
            "figcaption",
            "The adapted model's left-out predictions. Left: patients in groups of alike "
            "probability, with 95 % intervals (Wilson) of the share; on the dashed line the "
            "probabilities are right. Right: every patient.",
        ),
    )


def _sets(personal: Personal, evidence: Evidence) -> Iterator[Html]:
    yield element("h2", "Prediction sets")
    yield element(
        "p",
        f"A set of {personal.coverage:.0%} is to hold the truth for {personal.coverage:.0%} of the "
        "patients with the diagnosis, and of those without. Among your left-out patients it held:",
    )
    names = {"all": "all", "with": "with the diagnosis", "without": "without it"}
    rows = [(names[key], _cell(value, percent=True)) for key, value in evidence.covered.items()]
    yield table(("patients", "share whose set holds the truth"), rows, css="inline")


def _candidates(evidence: Evidence, *, taught: bool) -> Iterator[Html]:
    yield element("h2", "What the model is mixed from")
    losses = [DASH if row.log_loss is None else number(row.log_loss) for row in evidence.candidates]
    rows = [
        (row.name, f"{row.weight:.3f}", loss, row.struck)
        for row, loss in zip(evidence.candidates, losses, strict=True)
    ]
    yield table(("candidate", "weight", "leave-one-out log-loss", "struck out"), rows)
    yield element(
        "p",
        "start/way/strength. intercept: only the prevalence follows your patients; head, full: the "
        "last layer, all layers move; inputs: a linear function is added; steps: the algorithm's "
        f"own inner steps; local and prevalence use no start. {WEIGHTS[taught]}",
        css="note",
    )


def _origin(fitted: Fit, about: Mapping[str, Any]) -> Iterator[Html]:
    yield element("h2", "Where it comes from")
    starts = listed(
        f"{s['name']} ({s['algorithm']}, {count(s['rounds'], 'round')}"
        f"{', for this diagnosis' if s['task'] else ''})"
        for s in about["starts"]
    )
    kind = "a new diagnosis" if fitted.new else "a diagnosis that a start was trained for"
    yield definitions(
        {
            "starts": starts,
            "origin": about["origin"],
            "gate": f"learned on {count(fitted.tasks, 'validation task')} that trained no start, "
            f"for {kind}; at {fitted.learned_at} labelled patients"
            if fitted.tasks
            else "not learned: the folder is a published federation's, which sees no patients",
            "study": about["study"],
            "ONNX": about["onnx"],
        }
    )


def _reading() -> Iterator[Html]:
    yield element(
        "section",
        element("h2", "How to read this"),
        definitions(WAYS),
        definitions(READING),
        element("p", PRIVATE),
        element("p", NO_CLAIM),
        css="box",
    )


def _cell(value: Value, *, percent: bool = False) -> Html:
    if value.mean is None:
        return Html(DASH)
    form = "{:.0%}" if percent else "{:.3f}"
    interval = ""
    if value.low is not None and value.high is not None:
        interval = f"{form.format(value.low)} to {form.format(value.high)}"
    return joined([form.format(value.mean), element("small", interval)])
