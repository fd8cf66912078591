"""`wardround adapt`, `predict` and `benefit`: for a clinical researcher with labelled patients.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Option(help="Model folder that a federation published.")]
Data = Annotated[Path, typer.Option(help="Table of your patients, .csv or .parquet.")]
Task = Annotated[str, typer.Option(help="Diagnosis, as the study names it.")]
StudyFile = Annotated[
    Path | None,
    typer.Option(help="study.toml with a task the model's own lacks; the same features."),
]
Site = Annotated[str, typer.Option(help="Of a table of several hospitals: take this one's rows.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def adapt(
    *,
    model: Model,
    data: Data,
    task: Task,
    output: Annotated[Path, typer.Option(help="Folder of the personal model, a new one.")],
    study: StudyFile = None,
    site: Site = "",
    coverage: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of sets that hold the truth.")
    ] = 0.9,
    as_json: Json = False,
) -> None:
    """Adapt a federation's model to your labelled patients, and say how good it is."""
    from client import adapting

    made = adapting.adapt(model, data, task, output, study=study, site=site, coverage=coverage)
    if as_json:
        _print(json.dumps(made.about, indent=1))
    else:
        adapting.show(made, output)


def predict(
    *,
    model: Annotated[Path, typer.Option(help="Folder that wardround adapt wrote.")],
    data: Data,
    output: Annotated[
        Path | None, typer.Option(help="CSV file to write; without it, stdout.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(min=0.5, max=0.99, help="Share of sets that hold the truth; adapt's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict for other patients with a personal model, one line a patient."""
    from client import predict as predicting

    rows = predicting.predict(model, data, coverage=coverage)
    whole = {"schema": 1, "predictions": [row._asdict() for row in rows]}
    text = json.dumps(whole, indent=1) if as_json else predicting.as_csv(rows)
    if output is None:
        _print(text.rstrip("\n"))
    else:
        predicting.write(output, text)


def benefit(
    *,
    model: Model,
    data: Data,
    task: Task,
    k: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Numbers of labelled patients to try; repeatable."),
    ] = None,
    study: StudyFile = None,
    site: Site = "",
    draws: Annotated[
        int, typer.Option(min=20, max=1000, help="Random draws of the labelled patients.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: Json = False,
) -> None:
    """Say whether adapting is worth it at your hospital, or going alone, or neither."""
    from client import benefit as weighing
    from client.benefit_words import show

    found = weighing.benefit(model, data, task, k, study=study, site=site, draws=draws, seed=seed)
    if as_json:
        _print(json.dumps(found, indent=1))
    else:
        show(found)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
