# %% [markdown]
# # Images: a convolutional network learns to find lesions
# Every image holds one of four lesions somewhere, seen by a hospital's own scanner. A task asks for
# one kind of lesion, and does not say which: ten labelled images of a new hospital must.

# %%
import argparse

import numpy as np
from torch import nn

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="fewer rounds and draws, for a test")
parser.add_argument("--out", default="runs/examples", help="folder of the figure")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own
few = given.quick
rounds, draws, sites = (3, 2, 6) if few else (300, 10, 24)
KINDS, SIDE, IMAGES = ("disc", "ring", "cross", "bar"), 12, 80


# %%
def lesion(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Return one image [SIDE, SIDE] with a lesion at a random place."""
    row, column = (np.indices((SIDE, SIDE)).T - rng.uniform(3, SIDE - 4, 2)).T
    far = np.hypot(row, column)
    cross = (abs(row) < 0.7) | (abs(column) < 0.7)
    shapes = (far < 2.2, (far > 1.6) & (far < 3.0), cross & (far < 3.2), (abs(row) < 1) & (far < 4))
    drawn: np.ndarray = shapes[kind].astype(float)
    return drawn


def scanner(number: int) -> wr.Patients:
    """Return a hospital's images [n, 1, SIDE, SIDE]: contrast, brightness and noise are its own."""
    rng = wr.generator("images", number)
    kinds = rng.integers(0, len(KINDS), IMAGES)
    clean = np.stack([lesion(kind, rng) for kind in kinds])
    seen = rng.uniform(1.0, 2.0) * clean + rng.normal(0, 0.3) + rng.normal(0, 0.4, clean.shape)
    labels = (kinds[:, None] == np.arange(len(KINDS))).astype(np.int64)
    images = seen[:, None].astype(np.float32)
    return wr.Patients(f"scanner {number:02d}", images, labels, np.full(IMAGES, ""))


def network() -> nn.Module:
    """Return a small convolutional network; it looks for a lesion wherever it is."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
    )


# %%
hospitals = wr.hospitals_of([scanner(i) for i in range(sites)], KINDS, name="lesions")
print(hospitals)
run = wr.federate(
    "fomaml",
    hospitals,
    rounds=rounds,
    model=network,
    sections={"episodes": {"meta_batch": 2}},
)

# %% The local network is the same network without meta-training.
judged = wr.evaluate([run], hospitals, k=(0, 5, 10, 20), draws=draws, max_tasks=2 if few else 8)
print(judged.table(), "\n")

# %% The honest sentence, and the figure.
print(judged.sentence(10))
print(judged.figure(f"{given.out}/images.svg"))
