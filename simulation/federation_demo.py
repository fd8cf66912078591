"""`make federation`: a coordinator and four hospitals as processes over TLS, from start to end.

    python -m simulation.federation_demo [--output DIR] [--keep]

Each party has a folder of its own and is driven by the commands that a person would type, which are
shown. The patients are made up. All processes are stopped at the end, by their ids.
"""

import argparse
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from simulation.founding import (
    OTHER_UNIT,
    agree_on_keys,
    approve,
    enter,
    found,
    free_port,
    wait_for,
)
from simulation.processes import command, end, launch

HOSPITALS = ("ash", "birch", "cedar", "elm")
RELEASES = 20
STUDY = """schema = 1
name = "kidney"
purpose = "A rehearsal on made-up patients: who has a kidney disease"
features = [
  { name = "age", unit = "years", usual = [20, 90], plausible = [18, 110] },
  { name = "sex", kind = "category", categories = ["F", "M"] },
  { name = "creatinine", unit = "mg/dL", usual = [0.4, 2.0], plausible = [0.1, 20], log = true },
]
tasks = [{ name = "kidney disease", column = "kidney", prevalence = [0.05, 0.5] }]
sites = [
  { name = "ash", patients = 500 }, { name = "birch", patients = 500 },
  { name = "cedar", patients = 500 }, { name = "elm", patients = 500 },
]
model = { hidden = 16 }
algorithm = { name = "fomaml", inner_steps = 3 }
episodes = { support = 5, query = 5 }
server = { rounds = 10, optimizer = "sgd", meta_lr = 0.3, deadline_s = 120 }

[privacy]
profile = "masked"
clip_norm = 0.5
noise_multiplier = 4.0
coin = 0.5
spare_rounds = 5
"""
KREA = '\n[[columns]]\nstudy = "creatinine"\nlocal = "krea"\nunit = "umol/L"\n'
LIMITS = "\n[limits]\nmin_cohort = 4\nmax_epsilon = 10.0\n"
SHOWN, SHOWN_OF_ONE = {"init", "sign"}, {"map", "approve"}
"""Of setting up: commands whose output is shown, and those of which one hospital's is."""
RUN_S = 900.0


def main() -> None:
    """Run the rehearsal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/federation"))
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    given = parser.parse_args()
    if given.output.exists():
        shutil.rmtree(given.output)
    given.output.mkdir(parents=True)
    with ExitStack() as running:
        Rehearsal(given.output.resolve(), running).play(keep=given.keep)


class Rehearsal:
    """The parties' folders below one, and the processes that stay."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder, self._running = folder, running
        self._coordinator = folder / "coordinator"

    def play(self, *, keep: bool) -> None:
        """Found the federation, let four hospitals join, run the study to its end."""
        port = free_port()
        study = found(self._do, self._folder, STUDY, port=port)
        self._stay("coordinator", "coordinator", "start", "--folder", "coordinator")
        wait_for(port)
        for site in HOSPITALS:
            say(f"== {site}")
            enter(self._do, self._folder, site, LIMITS + (KREA if site == OTHER_UNIT else ""))
            self._do("node", "check", "--folder", site, "--study", f"{site}/study.toml")
            approve(self._do, site, study, releases=RELEASES)
        agree_on_keys(self._do, HOSPITALS)
        say("The roster is signed by all four hospitals.")
        for site in HOSPITALS:
            self._stay(site, "node", "start", "--folder", site)
        address = self._page(study)
        self._show("coordinator", "run", "--folder", "coordinator")
        self._show("node", "audit", "--folder", HOSPITALS[0], "--last", "4")
        self._show("node", "budget", "--folder", HOSPITALS[0])
        if keep:
            say(f"All stays up: {address}. Ctrl-C ends it.")
            signal.pause()
        say("Stopping everything.")

    def _page(self, study: str) -> str:
        run, port = self._coordinator / "runs" / study[:12], free_port()
        run.mkdir(parents=True, mode=0o700)
        self._stay("page", "coordinator", "page", "--folder", str(run), "--port", str(port))
        say(f"The page: http://127.0.0.1:{port}")
        return f"http://127.0.0.1:{port}"

    def _do(self, *words: str) -> str:
        """Run a command that sets something up, and return what it printed."""
        said = self._run(*words)
        if words[1] in SHOWN or (words[1] in SHOWN_OF_ONE and OTHER_UNIT in words):
            say(said.rstrip("\n"))
        return said

    def _show(self, *words: str) -> None:
        say(self._run(*words).rstrip("\n"))

    def _run(self, *words: str) -> str:
        say("$ wardround " + " ".join(w if len(w) < 60 else w[:24] + "..." for w in words))
        try:
            return command(self._folder, *words, seconds=RUN_S)
        except RuntimeError as error:
            raise SystemExit(str(error)) from None

    def _stay(self, name: str, *words: str) -> None:
        say("$ wardround " + " ".join(words) + "  &")
        self._running.callback(end, launch(self._folder, name, *words))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
