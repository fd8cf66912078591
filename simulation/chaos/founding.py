"""A federation is founded once; each that runs is a copy of it."""

import shutil
from functools import partial
from pathlib import Path

from client.site import open_site
from simulation.chaos.cases import COORDINATOR
from simulation.chaos.studies import SITES, limits_of, study_text
from simulation.founding import agree_on_keys, approve, enter, free_port, wait_for
from simulation.founding import found as found_by_commands
from simulation.processes import command, end, launch

FOUNDED, RELEASES = "founded", 200


def found(folder: Path, profile: str) -> str:
    """Set up a coordinator and the hospitals of a profile's study, and return the study's id.

    No process is left running. What was founded here before is taken as it is.
    """
    if (folder / FOUNDED).exists():
        return (folder / FOUNDED).read_text()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    do, port = partial(command, folder), free_port()
    study = found_by_commands(do, folder, study_text(profile), port=port)
    service = launch(folder, "founding", COORDINATOR, "start", "--folder", COORDINATOR)
    try:
        wait_for(port)
        for site in SITES[profile]:
            enter(do, folder, site, limits_of(profile))
            approve(do, site, study, releases=0 if profile == "none" else RELEASES)
        if profile == "masked":
            agree_on_keys(do, SITES[profile])
    finally:
        end(service)
    for site in SITES[profile]:  # draws the site's key and its patients' slots: copies share them
        open_site({"node": str(folder / site)}, {}, study)
    (folder / FOUNDED).write_text(study)
    return study
