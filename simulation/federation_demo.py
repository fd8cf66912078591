"""`make federation`: a coordinator and four hospitals as processes over TLS, from nothing.

    python -m simulation.federation_demo [--output DIR] [--keep]

Each party has a folder of its own and is driven by the commands that a person would type, which are
shown. The patients are made up. All processes are stopped at the end, by their ids.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from common.randomness import generator

HOSPITALS = ("ash", "birch", "cedar", "elm")
PATIENTS, COHORT = 600, "2026"
UMOL_PER_MG = 88.42
"""Creatinine: micromoles a litre for one milligram a decilitre (113.12 g/mol)."""
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
LIMITS = "\n[limits]\nmin_cohort = 4\nmax_epsilon = 10.0\n"


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
        study = self._found()
        for site in HOSPITALS:
            self._join(site, study)
        self._agree_on_keys()
        for site in HOSPITALS:
            self._stay(site, "node", "start", "--folder", site)
        address = self._page(study)
        self._run("coordinator", "run", "--folder", "coordinator")
        self._run("node", "audit", "--folder", HOSPITALS[0], "--last", "4")
        self._run("node", "budget", "--folder", HOSPITALS[0])
        if keep:
            say(f"All stays up: {address}. Ctrl-C ends it.")
            signal.pause()
        say("Stopping everything.")

    def _found(self) -> str:
        port, inner = free_port(), free_port()
        self._run("coordinator", "init", "coordinator", "--name", "wards",
                  "--host", "127.0.0.1", "--port", str(port))  # fmt: skip
        settings = self._coordinator / "coordinator.toml"
        text = settings.read_text()
        settings.write_text(re.sub(r"(\[superlink\][^\[]*?port = )\d+", rf"\g<1>{inner}", text))
        (self._folder / "study.toml").write_text(STUDY)
        said = self._run("coordinator", "sign", "study.toml", "--folder", "coordinator")
        self._stay("coordinator", "coordinator", "start", "--folder", "coordinator")
        wait_for(port)
        return said.split("id ")[1].split()[0]

    def _join(self, site: str, study: str) -> None:
        say(f"== {site}")
        code = self._run("coordinator", "invite", site, "--folder", "coordinator", quiet=True)
        self._run("node", "join", code.strip(), "--folder", site, "--site", site, quiet=True)
        write_patients(self._folder / site / "patients.csv", site)
        self._run("node", "map", "--folder", site, "--study", f"{site}/study.toml",
                  "--path", "patients.csv", "--write", quiet=site != "cedar")  # fmt: skip
        with (self._folder / site / "site.toml").open("a") as rules:
            rules.write(LIMITS)
        self._run("node", "check", "--folder", site, "--study", f"{site}/study.toml", quiet=True)
        opening = ("--open", "20", "--cohort", COHORT)
        self._run("node", "budget", "--folder", site, *opening, quiet=True)
        self._run("node", "approve", f"{site}/study.toml", "--folder", site,
                  "--cohort", COHORT, "--yes", study, quiet=site != "cedar")  # fmt: skip

    def _agree_on_keys(self) -> None:
        drafted = self._run(
            "coordinator", "roster", "--folder", "coordinator", "--json", quiet=True
        )
        digest = json.loads(drafted)["hash"]
        for site in (*HOSPITALS, *HOSPITALS):  # the first signature is not enough, the last one is
            self._run("node", "roster", "--folder", site, "--yes", digest, quiet=True)
        say("The roster is signed by all four hospitals.")

    def _page(self, study: str) -> str:
        run, port = self._coordinator / "runs" / study[:12], free_port()
        run.mkdir(parents=True, mode=0o700)
        self._stay("page", "coordinator", "page", "--folder", str(run), "--port", str(port))
        say(f"The page: http://127.0.0.1:{port}")
        return f"http://127.0.0.1:{port}"

    def _run(self, *words: str, quiet: bool = False) -> str:
        """Run a command of ours to its end and return what it printed."""
        shown = (word if len(word) < 60 else word[:24] + "..." for word in words)
        say("$ wardround " + " ".join(shown))
        done = subprocess.run(  # noqa: S603 (our own commands)
            [*WARDROUND, *words], cwd=self._folder, capture_output=quiet, text=True,
            stdout=None if quiet else subprocess.PIPE, check=False,
        )  # fmt: skip
        if not quiet:
            sys.stdout.write(done.stdout)
        if done.returncode:
            sys.stderr.write((done.stdout or "") + (done.stderr or ""))
            raise SystemExit(f"wardround {words[0]} {words[1]} ended with {done.returncode}")
        return done.stdout

    def _stay(self, name: str, *words: str) -> None:
        say("$ wardround " + " ".join(words) + "  &")
        self._running.enter_context(staying(self._folder, name, words))


WARDROUND = [sys.executable, "-c", "from common.cli import main; main()"]


@contextmanager
def staying(folder: Path, name: str, words: tuple[str, ...]) -> Iterator[None]:
    """Keep a command running; its output goes to a log file, and it is asked to end at the end."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (our own commands)
            [*WARDROUND, *words], cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def write_patients(path: Path, site: str) -> None:
    """Write made-up patients; cedar measures creatinine in micromoles and calls it `krea`."""
    rng = generator("federation demo", site)
    age, sex = rng.uniform(20, 90, PATIENTS), rng.choice(["F", "M"], PATIENTS)
    risk = (age - 60) / 15 + rng.standard_normal(PATIENTS)
    sick = risk > 1.2
    creatinine = np.exp(rng.normal(-0.1 + 0.7 * sick, 0.3))
    there, name = (UMOL_PER_MG, "krea") if site == "cedar" else (1.0, "creatinine")
    rows = [f"patient_id,age,sex,{name},kidney"]
    for i in range(PATIENTS):
        value = f"{creatinine[i] * there:.2f}"
        rows.append(f"{site}-{i},{age[i]:.0f},{sex[i]},{value},{int(sick[i])}")
    path.write_text("\n".join(rows) + "\n")


def free_port() -> int:
    """Return a port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, *, seconds: float = 60.0) -> None:
    """Wait until the edge listens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing listens on port {port} after {seconds:g} s")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
