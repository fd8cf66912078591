# %% [markdown]
# # Sequences: a recurrent network reads vital signs
# Heart rate, blood pressure and temperature over 24 hours, with a hospital's own monitors. A task
# asks for one of three courses, and does not say which: labelled patients of a new hospital must.

# %%
import argparse

import numpy as np
import torch
from torch import Tensor, nn

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="fewer rounds and draws, for a test")
parser.add_argument("--out", default="runs/examples", help="folder of the figure")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own
few = given.quick
rounds, draws, sites = (3, 2, 6) if few else (200, 10, 24)
COURSES, HOURS, PATIENTS = ("sepsis", "bleeding", "withdrawal"), 24, 80


# %%
def monitor(number: int) -> wr.Patients:
    """Return a hospital's patients: vital signs [n, HOURS, 3] in units of their usual spread."""
    rng = wr.generator("vital signs", number)
    labels = rng.integers(0, 2, (PATIENTS, len(COURSES)))
    late = np.linspace(-1, 1, HOURS)[None] - rng.uniform(-0.5, 0.5, (PATIENTS, 1))
    rise, wave = np.maximum(late, 0), np.sin(12 * late)
    sepsis, bleeding, withdrawal = (labels[:, i, None] for i in range(len(COURSES)))
    heart = rise * (sepsis + bleeding) + 0.5 * wave * withdrawal
    pressure = -1.5 * rise * bleeding + 0.5 * wave * withdrawal
    signs = np.stack([heart, pressure, 1.5 * rise * sepsis], axis=2)
    shift, noise = rng.normal(0, 0.3, 3), rng.normal(0, 0.5, signs.shape)
    x = (rng.uniform(0.8, 1.2, 3) * signs + shift + noise).astype(np.float32)
    return wr.Patients(f"ward {number:02d}", x, labels, np.full(PATIENTS, ""))


class Recurrent(nn.Module):
    """h <- tanh(W x_t + U h) over the hours, then two logits of the last h."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.enter, self.stay = nn.Linear(3, hidden), nn.Linear(hidden, hidden, bias=False)
        self.head = nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, 2] of sequences [n, HOURS, 3]."""
        entering = self.enter(x)
        h = torch.zeros_like(entering[:, 0])
        for t in range(x.shape[1]):
            h = torch.tanh(entering[:, t] + self.stay(h))
        logits: Tensor = self.head(h)
        return logits


# %%
hospitals = wr.hospitals_of([monitor(i) for i in range(sites)], COURSES, name="vital signs")
print(hospitals)
run = wr.federate(
    "fomaml",
    hospitals,
    rounds=rounds,
    model=Recurrent,
    sections={"episodes": {"meta_batch": 2}},
)

# %% The local network is the same network without meta-training.
judged = wr.evaluate([run], hospitals, k=(0, 5, 10, 20), draws=draws, max_tasks=2 if few else 8)
print(judged.table(), "\n")

# %% The honest sentence, and the figure.
print(judged.sentence(10))
print(judged.figure(f"{given.out}/sequences.svg"))
