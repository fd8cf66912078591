"""Starts: initializations, how they see a patient, and how their logit moves with each layer.

To first order in its parameters a network is a linear model around theta, whose features are the
gradients of the logit. Under the prior phi ~ N(theta, s^2) its logits are a Gaussian process: the
proximal pull to theta of strength 1 / s^2, solved to the end instead of by steps (Jacot, Gabriel,
Hongler, "Neural Tangent Kernel", NeurIPS 2018; Maddox et al., "Fast Adaptation with Linearized
Neural Networks", AISTATS 2021).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, vmap

from common.adapted import is_reference
from common.algorithms.base import theta_of
from common.learner import Learner
from common.parameters import Params
from common.personal.laplace import Gram


@dataclass(frozen=True)
class Start:
    """An initialization; `task` names the one diagnosis that it was trained for, "" is any."""

    name: str
    learner: Learner
    meta: Params
    task: str = ""

    def fits(self, task: str) -> bool:
        """Whether the start may be used for a diagnosis."""
        return self.task in ("", task)


class View:
    """What a start makes of patients x [..., inputs]: their logit, and its gradients by layer."""

    def __init__(self, start: Start, x: Tensor) -> None:
        theta = {name: p.to(x.dtype) for name, p in theta_of(start.meta).items()}
        self.reference = is_reference(theta) and not start.learner.own_model
        if self.reference:
            self._reference(theta, x)
        else:
            self._generic(start.learner, theta, x)

    def _reference(self, theta: Params, x: Tensor) -> None:
        w1, b1, w2, b2 = theta.values()
        z = x @ w1.mT + b1
        v = w2[1] - w2[0]
        self.hidden, self.gate, self.x = *units(z, v), x
        self.logit = self.hidden @ v + (b2[1] - b2[0])

    def _generic(self, learner: Learner, theta: Params, x: Tensor) -> None:
        def logit(params: Params, row: Tensor) -> Tensor:
            scores = learner.logits(params, row[None])[0]
            return scores[1] - scores[0]

        rows = x.reshape(-1, x.shape[-1])
        slopes = vmap(grad(logit), in_dims=(None, 0))(theta, rows)
        self.logit = vmap(logit, in_dims=(None, 0))(theta, rows).reshape(x.shape[:-1])
        flat = {name: slope.flatten(1) for name, slope in slopes.items()}
        last = list(flat)[-1].rpartition(".")[0]
        head = [slope for name, slope in flat.items() if name.rpartition(".")[0] == last]
        shape = (*x.shape[:-1], -1)
        self.head = torch.cat(head, 1).reshape(shape)
        self.all = torch.cat(list(flat.values()), 1).reshape(shape)

    def head_products(self, other: "View") -> Tensor:
        """Return the inner products [..., n, m] of the gradients by the last layer."""
        if self.reference:
            return by_head(self.hidden @ other.hidden.mT)
        return self.head @ other.head.mT

    def all_products(self, other: "View") -> Tensor:
        """Return the inner products [..., n, m] of the gradients by all parameters."""
        if self.reference:
            first, inputs = self.gate @ other.gate.mT, self.x @ other.x.mT
            return by_all(first, inputs, self.head_products(other))
        return self.all @ other.all.mT

    def head_squares(self) -> Tensor:
        """Return the squared norm [...] of the gradient by the last layer."""
        if self.reference:
            return by_head(self.hidden.square().sum(-1))
        return self.head.square().sum(-1)

    def all_squares(self) -> Tensor:
        """Return the squared norm [...] of the gradient by all parameters."""
        if self.reference:
            first, inputs = self.gate.square().sum(-1), self.x.square().sum(-1)
            return by_all(first, inputs, self.head_squares())
        return self.all.square().sum(-1)


def units(entering: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the reference network's hidden units, and the logit's gradient by what enters them.

    v [hidden]: the last layer's weights for the diagnosis less those against it.
    """
    return entering.relu(), (entering > 0).to(entering.dtype) * v


def by_head(hidden: Tensor) -> Tensor:
    """Return products of gradients by the last layer, from those of the hidden units.

    Both of its rows move, in opposite directions, and so do their intercepts.
    """
    return 2 * (hidden + 1)


def by_all(first: Tensor, inputs: Tensor, head: Tensor) -> Tensor:
    """Return products of gradients by all parameters.

    From those by what enters the hidden units, of the inputs, and by the last layer.
    """
    return first * (inputs + 1) + head


def head_gram(support: View, other: View) -> Gram:
    """Return the covariances of moving the last layer: support [D, k], other [n]."""
    return _gram(support.head_products(support), other.head_products(support), other.head_squares())


def full_gram(support: View, other: View) -> Gram:
    """Return the covariances of moving all layers: support [D, k], other [n]."""
    return _gram(support.all_products(support), other.all_products(support), other.all_squares())


def input_gram(x: Tensor, other: Tensor) -> Gram:
    """Return the covariances of a linear function of the inputs: x [D, k, inputs], other [n, .]."""
    return _gram(x @ x.mT, other @ x.mT, other.square().sum(-1))


def _gram(own: Tensor, cross: Tensor, variance: Tensor) -> Gram:
    return Gram(own, cross, variance.expand(len(own), -1))


def relative(gram: Gram) -> Gram:
    """Return the covariances, scaled so that a support patient has variance 1 on average."""
    mean = gram.own.diagonal(dim1=1, dim2=2).mean(1)
    return gram.scaled(1 / mean.clamp_min(1e-12))
