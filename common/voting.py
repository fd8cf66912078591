"""A site's votes on a model: the model's own score of each patient, counted and noised.

The scores are those of theta as it was sent. A model adapted to the site's patients would move many
votes when one of them is exchanged (`common.privacy.histograms.votes`), and no epsilon would hold.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from common.algorithms.base import theta_of
from common.crypto import ByteStream
from common.episodes import Site, Task
from common.learner import Learner
from common.parameters import unflatten
from common.privacy.histograms import BINS, Floats, Integers, noisy, votes
from common.privacy.noise import gaussian
from common.randomness import derived_key


def released_votes(
    learner: Learner, meta: Tensor, site: Site, task: str, *, std: float, key: bytes
) -> Integers:
    """Return the site's histogram [CELLS] of the scores of `meta` [d], with noise of `std` votes.

    key: of the noise; it serves nothing else. A site without the task has no votes, but noise.

    Raises:
        TableError: a patient would have two votes.
        PrivacyError: std is not positive.
    """
    found = next((own for own in site.tasks if own.name == task), None)
    counts = np.zeros((2, BINS), dtype=np.int64)
    if found is not None and len(found.y):
        counts = votes(_scores(learner, meta, found, site.slots), found.y, found.patient)
    stream = ByteStream(key)
    return noisy(counts, std=std, gaussian=partial(_noise, stream)).reshape(-1)


def virtual_votes_key(site_key: bytes, release: int, task: str, fresh: int = 0) -> bytes:
    """Return the key of the noise of a site that keeps no books, and so promises nobody anything.

    It is the same on every engine, whatever the last bits of theta are.
    """
    return derived_key(site_key, "votes", release, task, fresh)


def _scores(learner: Learner, meta: Tensor, task: Task, slots: int) -> Floats:
    """Return the probability [rows] that each patient of the task is positive.

    All slots are computed, empty ones too: the sums of a matrix product depend in their last bits
    on its shape, and so would a patient's bin on who else is there.
    """
    x = np.zeros((max(slots, int(task.patient.max()) + 1), task.x.shape[1]), dtype=np.float32)
    x[task.patient] = task.x
    params = theta_of(unflatten(meta, learner.initial))
    with torch.no_grad():
        scores = learner.logits(params, torch.from_numpy(x)).softmax(-1)[:, 1]
    found: Floats = scores.double().numpy()[task.patient]
    return found


def _noise(stream: ByteStream, dim: int, std: float) -> Floats:
    return gaussian(stream, dim, std=std)
