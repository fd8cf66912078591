# %% [markdown]
# # Cross-domain diagnosis
# A diagnosis that nobody trained on. Generated hospitals: in `synthetic` diagnoses share causes, so
# the trained ones say something about a new one; in `synthetic-control` they share nothing.

# %%
import argparse

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="fewer rounds and draws, for a test")
parser.add_argument("--out", default="runs/examples", help="folder of the figure")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own
rounds, draws, tasks = (10, 3, 3) if given.quick else (200, 20, 20)


# %%
def judge(dataset: str) -> wr.Evaluation:
    """Return how MAML and FedAvg do on new diagnoses of a generated world."""
    hospitals = wr.hospitals(dataset, scenario="cross-domain")
    print(hospitals)
    runs = [wr.federate(name, hospitals, rounds=rounds) for name in ("maml", "fedavg")]
    return wr.evaluate(runs, hospitals, k=(0, 5, 10, 20), draws=draws, max_tasks=tasks)


# %% The truth knows the generator's own probabilities: nobody can be better.
related, control = judge("synthetic"), judge("synthetic-control")
print(related.table(), "\n")

# %% The honest sentences, and the figures.
print("Diagnoses with shared causes.", related.sentence(10))
print("The control, without.", control.sentence(10))
print(related.figure(f"{given.out}/cross_domain.svg"))
print(control.figure(f"{given.out}/cross_domain_control.svg"))
