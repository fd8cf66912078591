# %% [markdown]
# # Few-shot diagnosis
# A hospital that took no part has few labelled patients. Real records of thyroid diagnoses: four
# referral sources meta-train, the fifth labels k patients of a diagnosis and adapts.

# %%
import argparse

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="fewer rounds and draws, for a test")
parser.add_argument("--out", default="runs/examples", help="folder of the figure")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own
rounds, draws = (10, 3) if given.quick else (200, 30)

# %%
hospitals = wr.hospitals("thyroid", scenario="few-shot", held_out=["SVI"])
print(hospitals)

# %% Meta-train with MAML, and the usual federated averaging beside it.
runs = [wr.federate(name, hospitals, rounds=rounds) for name in ("maml", "fedavg")]

# %% Judge both, and what the hospital can do alone, on the same patients.
judged = wr.evaluate(runs, hospitals, draws=draws)
print(judged.table(), "\n")

# %% The honest sentence, and the figure.
print(judged.sentence(10))
print(judged.figure(f"{given.out}/few_shot.svg"))
