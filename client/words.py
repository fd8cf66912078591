"""What a personal model's evidence means, in plain words."""

from collections.abc import Iterator

from client.evidence import ADAPTED, FEW, Evidence, Value, known
from client.personal import Fit, Personal
from common.pages import count

ENOUGH = 8
"""With fewer patients of a class an AUROC says little."""
FAR = 2.0
"""A number of patients so many times the gate's own, or a part of it, is far from it."""
UNLEARNED = (
    "No validation task has taught the gate, because a federation sees no patients: the ways to "
    "predict count alike, corrected by your patients. Prediction sets rest on your patients alone "
    "(at 90 %, a label with fewer than 9 of them is in every set), and no patient is called unlike "
    "them."
)


def sentence(personal: Personal, evidence: Evidence) -> str:
    """Return the conclusion: whether the adapted model beats the best simpler way."""
    k, difference = len(personal.y), evidence.gain
    whole = evidence.scores[ADAPTED].log_loss
    start = (
        f"Each of {count(k, 'labelled patient')} left out in turn, the adapted model's log-loss is "
        f"{three(whole)}; the best simpler way, {evidence.best}, has "
        f"{three(evidence.scores[evidence.best].log_loss)}. "
    )
    interval = known(difference)
    if interval is None:
        return start + "So few patients cannot tell the two apart."
    low, high = interval
    between = f"difference {difference.mean:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}"
    if high < 0:
        return start + f"Adapting helps here ({between})."
    if low > 0:
        return start + f"Adapting does harm here: use {evidence.best} ({between})."
    return start + f"These patients cannot tell the two apart ({between})."


def three(value: Value) -> str:
    """Return a value to three decimals, or a dash."""
    return "-" if value.mean is None else f"{value.mean:.3f}"


def warnings(personal: Personal, fitted: Fit, evidence: Evidence) -> list[str]:
    """Return what a reader must know before believing the evidence."""
    return [*_of_patients(personal), *_of_model(personal, fitted), *_of_evidence(fitted, evidence)]


def _of_patients(personal: Personal) -> Iterator[str]:
    k, positives = len(personal.y), int(personal.y.sum())
    if k < FEW:
        yield (
            f"Only {count(k, 'patient')}: what was fixed before they were seen decides nearly "
            "alone; your patients can neither confirm nor correct it."
        )
    rarer = min(positives, k - positives)
    if not rarer:
        which = "has" if positives else "lacks"
        yield (
            f"Every labelled patient {which} the diagnosis: they teach how frequent it is, hardly "
            "who has it, and there is no AUROC. Label patients of the other class too."
        )
    elif rarer < ENOUGH:
        yield (
            f"Only {count(rarer, 'patient')} of the rarer class (fewer than {ENOUGH}): AUROC is "
            "very uncertain."
        )


def _of_model(personal: Personal, fitted: Fit) -> Iterator[str]:
    k = len(personal.y)
    if fitted.new:
        yield (
            f"New diagnosis: no start of the model was trained for {personal.task.name}. A model "
            "as it comes may even rank against a new diagnosis; look at zero-shot below."
        )
    if not fitted.tasks:
        yield UNLEARNED
        return
    ratio = (k + 1) / (fitted.learned_at + 1)
    if not 1 / FAR < ratio < FAR:
        yield (
            f"The gate was learned at {fitted.learned_at} labelled patients, far from your {k}: "
            "its weights may not suit."
        )


def _of_evidence(fitted: Fit, evidence: Evidence) -> Iterator[str]:
    for why in dict.fromkeys(row.struck for row in evidence.candidates if row.struck):
        names = [row.name for row in evidence.candidates if row.struck == why]
        yield f"Struck out ({why}): {', '.join(names)}."
    interval = known(evidence.gain)
    if interval and interval[0] <= 0 <= interval[1]:
        yield (
            "The intervals are too wide to tell the adapted model from the best simpler way, "
            f"{evidence.best}."
        )
    if 0 < fitted.tasks < 20:
        yield (
            f"The gate was learned on {count(fitted.tasks, 'validation task')} only; with so few "
            "its weights are uncertain."
        )
