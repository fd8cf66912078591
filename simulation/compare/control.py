"""The control of a comparison: labels that say nothing about the patients.

Each site's labels are dealt out to its patients at random, before anything is divided or trained.
Prevalences stay; every arm's AUROC must then be 0.5 within its interval, or something leaks.
"""

from collections.abc import Sequence
from dataclasses import replace

from common.patients import Patients
from common.randomness import generator
from simulation.scenarios import split
from simulation.source import Plan


def with_shuffled_labels(plan: Plan, held_out: Sequence[str], seed: int) -> Plan:
    """Return the plan with every site's labels permuted, all diagnoses of a patient together."""

    def shuffled(patients: Patients) -> Patients:
        order = generator(seed, "shuffled labels", patients.site).permutation(len(patients))
        return replace(patients, labels=patients.labels[order])

    patients = {site: shuffled(own) for site, own in plan.dataset.patients.items()}
    # The true probabilities are no longer true.
    dataset = replace(plan.dataset, patients=patients, probabilities=None)
    return replace(
        plan,
        dataset=dataset,
        split=split(dataset, plan.scenario, held_out=held_out, seed=seed),
    )
