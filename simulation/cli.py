"""`wardround simulate`: many virtual hospitals on one machine, from one command."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from simulation.options import AsJson, Data, Scenario, Sites, StudyFile, chosen, demo_extra


def simulate(
    *,
    dataset: Annotated[
        str,
        typer.Option(
            help="thyroid, uci-heart, synthetic, synthetic-diverse, synthetic-control, table."
        ),
    ] = "thyroid",
    data: Data = None,
    study: StudyFile = None,
    scenario: Scenario = "few-shot",
    held_out: Annotated[
        list[str] | None,
        typer.Option(help="A hospital, patient group or diagnosis to hold out; repeatable."),
    ] = None,
    sites: Sites = None,
    algorithm: Annotated[
        str | None, typer.Option(help="maml, fomaml, reptile, ... (docs/algorithms.md).")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of meta-training.")] = None,
    inner_steps: Annotated[int | None, typer.Option(min=0, help="Inner steps K.")] = None,
    inner_lr: Annotated[float | None, typer.Option(min=0.0, help="Inner step size a.")] = None,
    support: Annotated[int | None, typer.Option(min=1, help="Support patients.")] = None,
    query: Annotated[int | None, typer.Option(min=1, help="Query patients.")] = None,
    profile: Annotated[
        Literal["none", "masked", "robust"] | None,
        typer.Option(help="Privacy profile (docs/privacy.md); with --epsilon."),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(min=0.0, help="What the rounds may cost a patient (replace-one)."),
    ] = None,
    metric_releases: Annotated[
        int | None,
        typer.Option(min=0, help="Diagnoses that sites vote on (docs/privacy.md, section 6)."),
    ] = None,
    metric_std: Annotated[
        float | None, typer.Option(min=0.1, help="Noise on each count of the votes, in patients.")
    ] = None,
    engine: Annotated[
        Literal["vectorized", "grid", "ray"],
        typer.Option(help="How sites are run: in chunks; as apps in this process; as apps on Ray."),
    ] = "vectorized",
    arithmetic: Annotated[
        Literal["auto", "reference", "generic", "compiled"],
        typer.Option(help="Of the vectorized engine (docs/engines.md): auto takes the fastest."),
    ] = "auto",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes of the vectorized engine; 0: one a core.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    output: Annotated[Path, typer.Option(help="Run folder, a new one.")] = Path("runs/last"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Meta-train an initialization over virtual hospitals and judge it on held-out ones."""
    given = {
        "dataset": dataset,
        "data": data,
        "study": study,
        "scenario": scenario,
        "held-out": ";".join(held_out or ()) or None,
        "sites": sites,
        "algorithm": algorithm,
        "rounds": rounds,
        "inner-steps": inner_steps,
        "inner-lr": inner_lr,
        "support": support,
        "query": query,
        "profile": profile,
        "epsilon": epsilon,
        "metric-releases": metric_releases,
        "metric-std": metric_std,
        "seed": seed,
        "engine": engine,
        "arithmetic": arithmetic,
    }
    results = _run(chosen(given), output, resume=resume, workers=workers)
    if as_json:
        from simulation.run import results_json

        sys.stdout.write(results_json(results))
    else:
        _show(results, output)


def _run(settings: dict[str, Any], output: Path, *, resume: bool, workers: int) -> dict[str, Any]:
    import torch  # slow to import: not before it is needed, so that --help is quick

    from simulation.progress import Reporter

    with demo_extra("wardround simulate"):
        from simulation.run import simulate_study
    torch.set_num_threads(1)
    return simulate_study(settings, output, resume=resume, workers=workers, reporter=Reporter())


def _show(results: dict[str, Any], output: Path) -> None:
    from rich.console import Console

    from simulation.report_privacy import privacy_line
    from simulation.verdict import table, verdict

    console = Console()
    for metric in ("auroc", "brier"):
        console.print(table(results, metric))
    for sentence in [*verdict(results), privacy_line(results["privacy"])]:
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(f"Report: {output / 'report.html'}", highlight=False, soft_wrap=True)
