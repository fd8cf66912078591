"""What was learned, judged on tasks that took no part, beside what a hospital can do alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import SettingsError
from common.study import make_study
from simulation.progress import Reporter
from simulation.scoring import draw_tasks, learning_curve, scored
from simulation.verdict import compared, overall, sentence
from simulation.workers import default_workers
from wardround._federation import Federated
from wardround._hospitals import Hospitals


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores on held-out tasks; the first of the runs is the one that sentences are about.

    results: as `wardround simulate --json` prints them (docs/results.md): `rows`, `differences`,
    `learning_curve`, `held_out`, `not_scored`, `validation`, `choices`.
    """

    results: Mapping[str, Any]

    def mean(self, arm: str, k: int, metric: str = "auroc") -> tuple[float, float, float]:
        """Return the mean over held-out tasks and its 95 % interval.

        Raises:
            SettingsError: there is no such arm, k or metric.
        """
        row = overall(self.results, metric).get((arm, k))
        if row is None:
            raise SettingsError(
                f"{arm} has no {metric} at k = {k}",
                where="evaluation",
                remedy="name an arm of `results`",
            )
        return row["mean"], row["low"], row["high"]

    def sentence(self, k: int, metric: str = "auroc") -> str:
        """Return how the first run stands beside the best other arm; who wins, and how surely.

        Raises:
            SettingsError: nothing was compared at this k.
        """
        for found in compared(self.results, metric):
            if found["k"] == k:
                return sentence(self.results, found, metric)
        raise SettingsError(
            f"nothing was compared at k = {k}", where="evaluation", remedy="evaluate at this k"
        )

    def table(self, metric: str = "auroc") -> str:
        """Return arms by k as a Markdown table: the means over held-out tasks."""
        rows = overall(self.results, metric)
        ks = sorted({k for _, k in rows})
        lines = [
            "| arm | " + " | ".join(f"k = {k}" for k in ks) + " |",
            "|---" * (len(ks) + 1) + "|",
        ]
        for arm in dict.fromkeys(arm for arm, _ in rows):
            cells = (f"{rows[arm, k]['mean']:.3f}" if (arm, k) in rows else "-" for k in ks)
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def figure(self, path: Path | str) -> Path:
        """Draw AUROC and Brier score over k, and learning over rounds; to an .svg or .png file.

        Raises:
            SettingsError: the file's name has another ending.
        """
        from simulation.figures import overview  # matplotlib is an extra

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        overview(self.results, path)
        return path

    def __str__(self) -> str:
        ks = sorted({k for _, k in overall(self.results, "auroc")})
        return "\n".join([self.table(), "", *(self.sentence(k) for k in ks)])


def evaluate(
    runs: Sequence[Federated],
    hospitals: Hospitals,
    *,
    k: Sequence[int] = (0, 5, 10, 20, 50),
    draws: int = 30,
    max_tasks: int = 40,
    workers: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Score runs, and what a hospital can do alone, on the same held-out tasks and patients.

    A run adapts to k labelled patients; every arm's inner rate and steps are chosen per k on
    validation tasks, from grids of equal size. The first run is paired with every other arm.

    Args:
        runs: what was learned, each under a name of its own.
        hospitals: whose held-out tasks judge.
        k: numbers of labelled patients.
        draws: how often they are drawn.
        max_tasks: of more held-out tasks so many are drawn at random.
        workers: processes, 0 one a core; their number changes no result.
        progress: show bars on stderr.

    Raises:
        SettingsError: names stand twice, a number is out of range, or no task is large enough.
        NonFiniteError: an arm predicts NaN.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names) or not names:
        raise SettingsError(
            f"runs are named {', '.join(names) or 'not at all'}",
            where="evaluate",
            remedy="give runs of different algorithms; replace(algorithm, name=...) renames one",
        )
    dump = runs[0].study.model_dump(mode="json", by_alias=True)
    dump["evaluation"] |= {"k": k, "k_per_class": (), "draws": draws, "max_tasks": max_tasks}
    settings = make_study(dump, where="evaluate").evaluation
    tasks = draw_tasks(hospitals, settings, hospitals.seed)
    number, reporter = workers or default_workers(), Reporter(quiet=not progress)
    kept = [(run, index, meta) for run in runs for index, meta in run.history.items()]
    results = scored(
        hospitals, runs, tasks, settings, hospitals.seed, reporter, number_of_workers=number
    )
    curve = list(learning_curve(kept, tasks.validation, number))
    return Evaluation({"study": dump, **results, "learning_curve": curve})
