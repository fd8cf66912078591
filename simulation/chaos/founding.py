"""A federation is set up once by the commands that people type; each that runs is a copy of it."""

import json
import re
import shutil
from pathlib import Path

from client.site import open_site
from simulation.chaos.cases import COORDINATOR, NODE
from simulation.chaos.processes import command, end, launch
from simulation.chaos.studies import COHORT, SITES, add_limits, study_text
from simulation.federation_demo import free_port, wait_for, write_patients

FOUNDED = "founded"


def found(folder: Path, profile: str) -> str:
    """Set up a coordinator and the hospitals of a profile's study, and return the study's id.

    No process is left running. What was founded here before is taken as it is.
    """
    if (folder / FOUNDED).exists():
        return (folder / FOUNDED).read_text()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    command(folder, COORDINATOR, "init", COORDINATOR, "--name", "wards",
            "--host", "127.0.0.1", "--port", str(port))  # fmt: skip
    set_ports(folder / COORDINATOR / "coordinator.toml", port, free_port())
    (folder / "study.toml").write_text(study_text(profile))
    said = command(folder, COORDINATOR, "sign", "study.toml", "--folder", COORDINATOR)
    study = said.split("id ")[1].split()[0]
    service = launch(folder, "founding", COORDINATOR, "start", "--folder", COORDINATOR)
    try:
        wait_for(port)
        for site in SITES[profile]:
            _join(folder, site, study, profile)
        if profile == "masked":
            _agree_on_keys(folder, SITES[profile])
    finally:
        end(service)
    for site in SITES[profile]:  # draws the site's key and its patients' slots: copies share them
        open_site({"node": str(folder / site)}, {}, study)
    (folder / FOUNDED).write_text(study)
    return study


def set_ports(settings: Path, edge: int, superlink: int) -> None:
    """Write the ports of a coordinator into its settings."""
    text = settings.read_text()
    for section, port in (("edge", edge), ("superlink", superlink)):
        text = re.sub(rf"(\[{section}\][^\[]*?port = )\d+", rf"\g<1>{port}", text)
    settings.write_text(text)


def _join(folder: Path, site: str, study: str, profile: str) -> None:
    code = command(folder, COORDINATOR, "invite", site, "--folder", COORDINATOR).strip()
    command(folder, NODE, "join", code, "--folder", site, "--site", site)
    write_patients(folder / site / "patients.csv", site)
    command(folder, NODE, "map", "--folder", site, "--study", f"{site}/study.toml",
            "--path", "patients.csv", "--write")  # fmt: skip
    add_limits(folder / site / "site.toml", profile)
    cohort: tuple[str, ...] = ()
    if profile != "none":
        command(folder, NODE, "budget", "--folder", site, "--open", "200", "--cohort", COHORT)
        cohort = ("--cohort", COHORT)
    command(folder, NODE, "approve", f"{site}/study.toml", "--folder", site, *cohort,
            "--yes", study)  # fmt: skip


def _agree_on_keys(folder: Path, sites: tuple[str, ...]) -> None:
    said = command(folder, COORDINATOR, "roster", "--folder", COORDINATOR, "--json")
    digest = json.loads(said)["hash"]
    for site in (*sites, *sites):  # the first signature is not enough, the last one is
        command(folder, NODE, "roster", "--folder", site, "--yes", digest)
