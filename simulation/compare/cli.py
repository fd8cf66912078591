"""`wardround compare`: all methods on the same held-out tasks, and what to make of it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from simulation.options import AsJson, Data, Scenario, Sites, StudyFile, chosen, demo_extra


def compare(
    *,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="thyroid, uci-heart, synthetic, synthetic-middle, synthetic-diverse, "
            "synthetic-control, table. Default: table with --study, else thyroid."
        ),
    ] = None,
    data: Data = None,
    study: StudyFile = None,
    scenario: Scenario = "few-shot",
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A hospital, patient group or diagnosis to hold out; repeatable, together. "
            "Default: of fewer than 8 hospitals each in turn, else the data set's own choice."
        ),
    ] = None,
    sites: Sites = None,
    algorithm: Annotated[
        str | None, typer.Option(help="The gate's start beside FedAvg: maml, fomaml, ...")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of training.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="So many seeds.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    k: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Labelled patients; repeatable. Default 0 5 10 20 50 100."),
    ] = None,
    draws: Annotated[int, typer.Option(min=2, help="Draws of k patients a task.")] = 30,
    tasks: Annotated[int, typer.Option(min=1, help="Test tasks a unit, at most.")] = 20,
    min_per_class: Annotated[
        int, typer.Option(min=2, help="A task needs so many test patients of each class.")
    ] = 8,
    shuffled_labels: Annotated[
        bool,
        typer.Option(
            "--shuffled-labels", help="The control: every AUROC must be 0.5, or something leaks."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
    output: Annotated[
        Path, typer.Option(help="Folder; what is there already is not computed again.")
    ] = Path("runs/compare"),
    as_json: AsJson = False,
) -> None:
    """Compare the gate with every baseline, tuned alike, on tasks that took no part."""
    from simulation.compare.validation import Judging

    given = {
        "dataset": dataset or ("table" if study and data else "thyroid"),
        "data": data,
        "study": study,
        "scenario": scenario,
        "sites": sites,
        "algorithm": algorithm,
        "rounds": rounds,
        "shuffled-labels": shuffled_labels or None,
    }
    judging = Judging(tuple(sorted(set(k or DEFAULT_K))), draws, tasks, min_per_class)
    results = _run(
        chosen(given),
        held_out or [],
        list(range(first_seed, first_seed + seeds)),
        judging,
        output,
        workers,
    )
    if as_json:
        from simulation.run import results_json

        sys.stdout.write(results_json(results))
    else:
        from simulation.compare.show import show

        show(results, output)


DEFAULT_K = (0, 5, 10, 20, 50, 100)


def _run(settings: dict[str, Any], *given: Any) -> dict[str, Any]:
    with demo_extra("wardround compare"):
        from simulation.compare.run import compare as run
    import torch

    from simulation.progress import Reporter

    torch.set_num_threads(1)
    held_out, seeds, judging, output, workers = given
    return run(
        settings,
        held_out,
        seeds,
        judging,
        output,
        number_of_workers=workers,
        reporter=Reporter(),
    )
