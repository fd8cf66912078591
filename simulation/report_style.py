"""The standing text of a report: what its arms, scores and intervals are."""

from collections.abc import Iterable

from common.pages import Html, definitions, element
from simulation.statistics import BOOTSTRAPS
from simulation.summary import MANY_SITES

ARMS = {
    "local-logistic": "Logistic regression on the k labelled patients alone; its penalty is chosen "
    "by cross-validation among them. What a site can do by itself today.",
    "local-network": "The same network as the algorithm's, from random parameters, trained on the "
    "k labelled patients alone.",
    "fedavg": "One model that the training sites made together by federated averaging, used as it "
    "is: the labelled patients change nothing.",
    "fedavg-finetune": "That same model, trained further on the k labelled patients.",
    "truth": "The generator's own probabilities, which no method can know: a ceiling, not a rival. "
    "It exists for synthetic data only.",
}
UNDER_TEST = (
    "The algorithm under test: an initialization that the training sites made together, "
    "trained further on the k labelled patients."
)
PREVALENCE = (
    "No method but a yardstick: every test patient gets the share of positives among the test "
    "patients. It ranks nobody, so probabilities worse than this are of little use as they are."
)
METRICS = {
    "AUROC": "The chance that a patient with the diagnosis gets a higher probability than one "
    "without. 0.5 is guessing, 1 is perfect. It judges the order of patients only.",
    "Brier score": "Mean squared distance between probability and outcome. 0 is perfect; one half "
    "for everybody gives 0.25. It judges the probabilities themselves; rare diagnoses have small "
    "scores, so compare within one table only.",
    "average precision": "Of the patients ranked at least as high as one with the diagnosis, the "
    "share that has it, averaged over those with it. Guessing gives the prevalence.",
    "log-loss": "Mean of -log(probability given to what happened). 0 is perfect; it punishes "
    "confident errors hardest.",
}
ZERO = (
    "No patient is labelled. What was trained is used as it is; the local arms know nothing and "
    "give one half to everybody."
)
PROTOCOL = (
    "Half of a task's patients are tested: the same ones for every arm and k. The labelled come "
    "from the other half in their natural mix, so five may hold no case of a rare diagnosis. "
    "Network arms take step size and number of steps from a grid of 20, by log-loss on validation "
    "tasks."
)
INTERVALS = (
    "All are 95 % intervals. Of one task: from its test patients and from {draws} draws of the "
    f"labelled patients (average precision: draws alone). Of all tasks: {BOOTSTRAPS} bootstraps "
    f"of sites (from {MANY_SITES} held-out sites on; else of tasks), each task's own uncertainty "
    "added. Of differences: arms are paired within each task; sites or tasks are resampled, "
    "test patients are not. A mean "
    "has the same tasks at every k."
)
SECONDARY = (
    "Customary in research on few-shot learning, but not what a ward meets: patients do not come "
    "in equal numbers with and without a diagnosis, and whoever could choose them so would know "
    "the labels already. The conclusions above do not use it."
)
LIMITS = (
    "One training run with one seed. Another seed can change small differences, and no interval "
    "here includes that.",
    "Many comparisons are shown and none is adjusted for their number: expect some clear "
    "differences by chance. The best other arm is named after looking, which favours that arm.",
    "The data were recorded earlier and elsewhere, or generated. Labels, patients and measurements "
    "of a ward today may differ.",
    "This is no clinical claim. Nothing here has been tested in care, and no score here says that "
    "a decision about a patient would be better.",
)


def explained(arms: Iterable[str], main: str, *, draws: int) -> Html:
    """Return the box that says what arms, scores and intervals are, and what nothing here says."""
    texts = {arm: ARMS.get(arm, UNDER_TEST) for arm in arms}
    if main in ARMS:
        texts[main] = f"The algorithm under test. {ARMS[main]}"
    rest = {"k = 0": ZERO, "k labelled": PROTOCOL, "intervals": INTERVALS.format(draws=draws)}
    return element(
        "section",
        element("h2", "How to read this"),
        element("h3", "The arms"),
        definitions(texts | {"prevalence alone": PREVALENCE}),
        element("h3", "The scores"),
        definitions(METRICS),
        element("h3", "The rest"),
        definitions(rest),
        element("h3", "What this cannot say"),
        element("ul", *(element("li", limit) for limit in LIMITS)),
        css="box",
    )
