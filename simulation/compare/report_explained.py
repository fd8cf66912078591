"""The box of a comparison's report that says what its arms, scores and intervals are."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.pages import Html, definitions, element
from simulation import report_style as style
from simulation.compare.arms import DITTO_STEPS, TREES
from simulation.verdict import main_arm

Results = Mapping[str, Any]

ARMS = {
    "gated": "What is under test: Wardround's candidates, weighed for each k by what validation "
    "tasks taught and by the k patients themselves.",
    "prevalence": "Everybody gets (positives + 1) / (k + 2): no ranking, a floor.",
    "local-logistic": style.ARMS["local-logistic"],
    "local-network": "The gate's network from random parameters, trained on the k patients alone.",
    "local-trees": f"Boosted trees on the k patients, from {TREES} on; below, local-logistic.",
    "pooled-logistic, pooled-trees": "One model of all training patients in one place: no "
    "federation has that. An upper reference, not a rival.",
    "fedavg, fedprox": "One model that the training sites made together, used as it is.",
    "...-finetune": "That same model, trained further on the k patients.",
    "ditto": f"A personal model drawn towards FedAvg's, {DITTO_STEPS} steps (Li et al., 2021).",
    "...-task": "The same, trained for the diagnosis alone where sites know it.",
}
MAIN = (
    "The algorithm's own inner loop, from the initialization that the training sites made together."
)
CALIBRATION = {
    "calibration slope": "1 is ideal; below 1 the probabilities are too extreme.",
    "calibration intercept": "0 is ideal; above 0 the probabilities are too low.",
    "expected calibration error": "Mean distance between probability and outcome in bins of "
    "equally many patients; with few patients a perfect model does not reach 0.",
}


def explained(results: Results) -> Iterator[Html]:
    """Yield the box that says what arms and scores are."""
    intervals = style.INTERVALS.format(draws=results["settings"]["draws"])
    yield element(
        "section",
        element("h2", "How to read this"),
        element("h3", "The arms"),
        definitions(ARMS | {main_arm(results): MAIN}),
        element("h3", "The scores"),
        definitions(style.METRICS | CALIBRATION),
        element("h3", "The rest"),
        definitions({"k = 0": style.ZERO, "intervals": intervals}),
        css="box",
    )
