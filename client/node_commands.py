"""`wardround node ...`: what the keeper of a hospital's node decides.

Heavy imports stand inside the commands, so that --help is quick.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer


def budget(
    *,
    state: Annotated[Path, typer.Option(help="State folder of the node.")],
    study: Annotated[Path | None, typer.Option(help="study.toml whose cost is asked.")] = None,
    site: Annotated[str, typer.Option(help="Your hospital's name in the study's roster.")] = "",
    cohort: Annotated[str, typer.Option(help="Patient cohort, such as a calendar year.")] = "",
    cap: Annotated[
        float | None,
        typer.Option("--open", help="Give the cohort this epsilon for its lifetime, once."),
    ] = None,
    reserve: Annotated[
        bool, typer.Option("--reserve", help="Reserve the study for the cohort.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show what your patients have given and may still give, and what a study would cost them."""
    from client import budget as books
    from common.study import read_study

    _fits_together(study, site, cohort, cap, reserve=reserve)
    cost = books.cost_of(read_study(study), site) if study else None
    if cap is None:
        ledger = books.open_ledger(state, time.time)
    else:
        ledger = books.open_cohort(state, time.time, cohort=cohort, cap=cap)
    about = books.report(ledger, cost, cohort=cohort)
    if not as_json:
        books.show(about)
    if reserve and cost:
        about["reserved"] = books.reserve_study(ledger, cost, cohort=cohort)
    if as_json:
        _print(json.dumps(about, indent=1))
    elif about["reserved"]:
        _print(f"Reserved, line {about['reserved']} of the ledger.")


def unblock(
    *,
    state: Annotated[Path, typer.Option(help="State folder of the node.")],
    study: Annotated[Path, typer.Option(help="study.toml of the study that was given up.")],
) -> None:
    """Let the node join secure aggregation again, once you know why it has given up sessions."""
    from client.identity import read_identity
    from client.masking import forget_aborts
    from client.membership import masking_store
    from common.messages.purposes import UPDATES, VOTES
    from common.study import read_study

    asked = read_study(study)
    secret = read_identity(state)
    purposes = (UPDATES, VOTES) if asked.evaluation.metric_releases else (UPDATES,)
    stores = [masking_store(state, asked, secret, purpose) for purpose in purposes]
    given_up = sum(forget_aborts(store) for store in stores)
    _print(f"{given_up} sessions of study {asked.name} were given up; the node may join again.")


def _fits_together(
    study: Path | None, site: str, cohort: str, cap: float | None, *, reserve: bool
) -> None:
    from common.errors import SettingsError

    for option, missing, needed in (
        ("--open", cap is not None and not cohort, "--cohort NAME"),
        ("--study", study is not None and not site, "--site NAME"),
        ("--reserve", reserve and study is None, "--study FILE"),
    ):
        if missing:
            raise SettingsError(
                f"{option} alone is not enough", where=option, remedy=f"add {needed}"
            )


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
