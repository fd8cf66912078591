"""A federation on one machine is set up by the commands that people type, a folder for each party.

`do` runs such a command in the folder above all of theirs and returns what it printed.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from common.randomness import generator

Do = Callable[..., str]
COORDINATOR, NODE, COHORT = "coordinator", "node", "2026"
PATIENTS, OTHER_UNIT = 600, "cedar"
UMOL_PER_MG = 88.42
"""Creatinine: micromoles a litre for one milligram a decilitre (113.12 g/mol)."""


def found(do: Do, folder: Path, study: str, *, port: int) -> str:
    """Make a coordinator on a port of loopback, have it sign the study, and return its id."""
    do(COORDINATOR, "init", COORDINATOR, "--name", "wards",
       "--host", "127.0.0.1", "--port", str(port))  # fmt: skip
    set_ports(folder / COORDINATOR / "coordinator.toml", port, free_port())
    (folder / "study.toml").write_text(study)
    said = do(COORDINATOR, "sign", "study.toml", "--folder", COORDINATOR)
    return said.split("id ")[1].split()[0]


def enter(
    do: Do, folder: Path, site: str, rules: str, patients: Callable[[Path, str], None] | None = None
) -> None:
    """Have a hospital join and map the columns of its patients; rules: added to site.toml.

    patients: writes them, of a site, to a file; else `write_patients`.
    """
    code = do(COORDINATOR, "invite", site, "--folder", COORDINATOR).strip()
    do(NODE, "join", code, "--folder", site, "--site", site)
    (patients or write_patients)(folder / site / "patients.csv", site)
    do(NODE, "map", "--folder", site, "--study", f"{site}/study.toml",
       "--path", "patients.csv", "--write")  # fmt: skip
    with (folder / site / "site.toml").open("a") as file:
        file.write(rules)


def approve(do: Do, site: str, study: str, *, releases: int = 0) -> None:
    """Have a hospital approve the study; releases: of its cohort's budget, if it needs one."""
    cohort = ("--cohort", COHORT) if releases else ()
    if releases:
        do(NODE, "budget", "--folder", site, "--open", str(releases), *cohort)
    do(NODE, "approve", f"{site}/study.toml", "--folder", site, *cohort, "--yes", study)


def agree_on_keys(do: Do, sites: Sequence[str]) -> None:
    """Have all hospitals sign the roster of keys for secure aggregation."""
    digest = json.loads(do(COORDINATOR, "roster", "--folder", COORDINATOR, "--json"))["hash"]
    for site in (*sites, *sites):  # the first signature is not enough, the last one is
        do(NODE, "roster", "--folder", site, "--yes", digest)


def set_ports(settings: Path, edge: int, superlink: int) -> None:
    """Write the ports of a coordinator into its settings."""
    text = settings.read_text()
    for section, port in (("edge", edge), ("superlink", superlink)):
        text = re.sub(rf"(\[{section}\][^\[]*?port = )\d+", rf"\g<1>{port}", text)
    settings.write_text(text)


def write_patients(path: Path, site: str) -> None:
    """Write made-up patients; cedar measures creatinine in micromoles and calls it `krea`."""
    rng = generator("federation demo", site)
    age, sex = rng.uniform(20, 90, PATIENTS), rng.choice(["F", "M"], PATIENTS)
    risk = (age - 60) / 15 + rng.standard_normal(PATIENTS)
    sick = risk > 1.2
    creatinine = np.exp(rng.normal(-0.1 + 0.7 * sick, 0.3))
    there, name = (UMOL_PER_MG, "krea") if site == OTHER_UNIT else (1.0, "creatinine")
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
    """Wait until the edge listens.

    Raises:
        SystemExit: it does not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing listens on port {port} after {seconds:g} s")
