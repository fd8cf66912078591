"""Draw the figures of docs/concepts.md and print the numbers in its text.

    make figures   # or: python -m simulation.concepts --demo runs/demo --output docs/pictures

--demo: the folder of `make demo`, whose two results.json one of the figures shows.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from common.parameters import Params
from common.randomness import generator
from simulation.concepts import pictures
from simulation.concepts.world import (
    ALONE_STEPS,
    STEPS,
    Hospitals,
    curves,
    draw,
    errors,
    meta_train,
    untrained,
)

SEED, NEW = 0, 400
KS = (5, 10, 20, 50, 100)
TEN, TIMES = 10, 6


def main() -> None:
    """Write the figures and print a table."""
    torch.set_num_threads(1)  # the same bytes on every machine
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    start = meta_train(SEED)
    known, unlike = (judged(start, mirrored=mirrored) for mirrored in (False, True))
    figures = {
        "round": pictures.round_picture(),
        "start": one_hospital(start),
        "errors": pictures.error_picture(known, unlike),
        "demo": pictures.demo_picture(reports(given.demo)),
    }
    given.output.mkdir(parents=True, exist_ok=True)
    for name, text in figures.items():
        (given.output / f"{name}.svg").write_text(text, encoding="utf-8")
    sys.stdout.write(table("like the others", known) + "\n" + table("unlike all others", unlike))


def judged(start: Params, *, mirrored: bool) -> dict[int, dict[str, torch.Tensor]]:
    """Return the errors at new hospitals by k; the patients of a smaller k are among the next."""
    rng = generator("concepts", SEED, "new", int(mirrored))
    hospitals = draw(rng, NEW, mirrored=mirrored)
    patients = hospitals.patients(rng, max(KS))
    few = {k: type(patients)(*(part[:, :k] for part in patients)) for k in KS}
    return {k: errors(start, hospitals, rows) for k, rows in few.items()}


def one_hospital(start: Params) -> str:
    """Return the picture of the start, and of a new hospital that has ten patients, six times."""
    rng = generator("concepts", SEED, "one")
    many = draw(rng, 8)
    new = Hospitals(torch.full((TIMES,), 0.9), torch.ones(TIMES))
    patients = new.patients(rng, TEN)
    ways = {
        "alone": curves(untrained(1), patients, steps=ALONE_STEPS),
        "start, adapted": curves(start, patients, steps=STEPS),
    }
    return pictures.start_picture(many, curves(start, patients, steps=0)[0], new, ways)


def reports(folder: Path) -> dict[str, Any]:
    """Return the results of the demo's two runs by what they are of."""
    names = {"A known diagnosis, a new hospital": "few-shot", "A new diagnosis": "cross-domain"}
    return {
        title: json.loads((folder / name / "results.json").read_text(encoding="utf-8"))
        for title, name in names.items()
    }


def table(title: str, errors_at: dict[int, dict[str, torch.Tensor]]) -> str:
    """Return a Markdown table: the mean error over hospitals of each way, by k."""
    ways = next(iter(errors_at.values()))
    lines = [f"| {title} | {' | '.join(f'k = {k}' for k in KS)} |", "|---" * (len(KS) + 1) + "|"]
    lines += [
        f"| {way} | {' | '.join(f'{float(errors_at[k][way].mean()):.3f}' for k in KS)} |"
        for way in ways
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
