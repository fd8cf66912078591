# %% [markdown]
# # Personalised diagnosis
# One group of patients by age and sex took no part at each hospital; a model is adapted to k
# labelled patients of that group. Real records of thyroid diagnoses.

# %%
import argparse

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="fewer rounds and draws, for a test")
parser.add_argument("--out", default="runs/examples", help="folder of the figure")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own
rounds, draws, tasks = (10, 3, 3) if given.quick else (200, 30, 40)

# %%
hospitals = wr.hospitals("thyroid", scenario="personalised")
print(hospitals)
for held in hospitals.split.test[:3]:
    print("held out, for example:", held.name)

# %% Meta-SGD learns an inner rate for every parameter with theta.
runs = [wr.federate(name, hospitals, rounds=rounds) for name in ("meta-sgd", "fedavg")]

# %%
judged = wr.evaluate(runs, hospitals, k=(0, 5, 10, 20), draws=draws, max_tasks=tasks)
print(judged.table(), "\n")

# %% The honest sentence, and the figure.
print(judged.sentence(10))
print(judged.figure(f"{given.out}/personalised.svg"))
