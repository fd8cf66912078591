"""`wardround node ...`: what the keeper of a hospital's node decides.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option(help="The node's folder, with site.toml.")]


def budget(
    *,
    folder: Folder = Path(),
    study: Annotated[Path | None, typer.Option(help="study.toml whose cost is asked.")] = None,
    cohort: Annotated[str, typer.Option(help="Patient cohort, such as a calendar year.")] = "",
    cap: Annotated[
        float | None,
        typer.Option("--open", help="Give the cohort this epsilon for its lifetime, once."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show what your patients have given and may still give, and what a study would cost them."""
    from client import budget as books
    from client.hospital import open_hospital
    from common.errors import SettingsError
    from common.study import read_study

    if cap is not None and not cohort:
        raise SettingsError(
            "--open alone is not enough", where="--open", remedy="add --cohort NAME"
        )
    hospital = open_hospital(folder)
    cost = books.cost_of(read_study(study), hospital.name) if study else None
    if cap is None:
        ledger = books.open_ledger(hospital.state, time.time)
    else:
        ledger = books.open_cohort(hospital.state, time.time, cohort=cohort, cap=cap)
    about = books.report(ledger, cost, cohort=cohort)
    if as_json:
        _print(json.dumps(about, indent=1))
    else:
        books.show(about)


def unblock(
    *,
    study: Annotated[Path, typer.Option(help="study.toml of the study that was given up.")],
    folder: Folder = Path(),
) -> None:
    """Let the node join secure aggregation again, once you know why it has given up sessions."""
    from client.hospital import open_hospital
    from client.identity import read_identity
    from client.masking import forget_aborts
    from client.membership import masking_store
    from common.messages.purposes import UPDATES, VOTES
    from common.study import read_study

    asked, state = read_study(study), open_hospital(folder).state
    secret = read_identity(state)
    purposes = (UPDATES, VOTES) if asked.evaluation.metric_releases else (UPDATES,)
    stores = [masking_store(state, asked, secret, purpose) for purpose in purposes]
    given_up = sum(forget_aborts(store) for store in stores)
    _print(f"{given_up} sessions of study {asked.name} were given up; the node may join again.")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
