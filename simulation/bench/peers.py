"""Other ways to the same numbers: each site's mean second-order MAML meta-gradient.

The loss is the mean cross-entropy of a perceptron with one hidden ReLU layer, the inner loop is
full-batch SGD (Finn et al. 2017, arXiv 1703.03400, Algorithm 2). Every peer is written as its own
users write it, in the fastest form that we found. Weights of rows are not read: all are taken as 1.

- a plain PyTorch loop with `create_graph`, the form of most public MAML code (learn2learn, Arnold
  et al. 2020, arXiv 2008.12284, `algorithms/maml.py`; Antoniou's `few_shot_learning_system.py`);
- `higher` 0.2.1: Grefenstette et al., "Generalized Inner Loop Meta-Learning", 2019,
  arXiv 1910.01727; its README's "Usage" section;
- JAX (Bradbury et al., "JAX: composable transformations of Python+NumPy programs", 2018,
  https://github.com/jax-ml/jax): `grad` of the adapted loss, `vmap` over tasks, `jit` around it, as
  in Eric Jang, "Meta-Learning in 50 Lines of JAX", 2019,
  https://blog.evjang.com/2019/02/maml-jax.html.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.dlpack import from_dlpack

from common.episodes import Episode, Rows
from common.models import perceptron
from common.parameters import Params

JAX_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "JAX_PLATFORMS": "cpu",
        "NPROC": "1",  # the size of XLA's own pool of threads
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    }
)
"""What keeps JAX on one CPU thread; it counts only if set before jax is first imported."""

JAX_CHUNK = 25
"""Sites in one call of the compiled function: 100 leave the cache, at K = 5 they take 1.6 times."""


class Arithmetic(Protocol):
    """(theta, episodes [B, E, ...]) to each site's mean meta-gradient [B, d], laid by `flatten`."""

    def __call__(
        self, theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int
    ) -> Tensor:
        """Return the meta-gradients of B sites [B, d]."""
        ...


def torch_loop(theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int) -> Tensor:
    """Return the meta-gradients [B, d] by a plain loop over sites and episodes."""
    parameters = [p.detach().clone().requires_grad_() for p in theta.values()]
    gradients = []
    for site in zip(*_columns(episodes), strict=True):
        losses = [
            _perceptron_loss(_adapted(parameters, x, y, inner_lr, inner_steps), query_x, query_y)
            for x, y, query_x, query_y in zip(*(column.unbind() for column in site), strict=True)
        ]
        gradient = torch.autograd.grad(torch.stack(losses).mean(), parameters)
        gradients.append(torch.cat([g.reshape(-1) for g in gradient]))
    return torch.stack(gradients)


def _columns(episodes: Episode) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    support, query = episodes
    return support.x, support.y, query.x, query.y


def _perceptron_loss(phi: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    w1, b1, w2, b2 = phi
    hidden = functional.relu(functional.linear(x, w1, b1))
    return functional.cross_entropy(functional.linear(hidden, w2, b2), y)


def _adapted(
    phi: Sequence[Tensor], x: Tensor, y: Tensor, inner_lr: float, inner_steps: int
) -> Sequence[Tensor]:
    for _ in range(inner_steps):
        loss = _perceptron_loss(phi, x, y)
        gradient = torch.autograd.grad(loss, phi, create_graph=True)
        phi = [torch.sub(p, g, alpha=inner_lr) for p, g in zip(phi, gradient, strict=True)]
    return phi


def higher_loop(theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int) -> Tensor:
    """Return the meta-gradients [B, d] by `higher`, one inner loop at a time."""
    import higher

    hidden, inputs = theta["0.weight"].shape
    model = perceptron(inputs, hidden=hidden, outputs=len(theta["2.bias"]))
    model.load_state_dict(theta)
    optimizer = torch.optim.SGD(model.parameters(), lr=inner_lr)
    gradients = []
    for site in zip(*_columns(episodes), strict=True):
        model.zero_grad()
        for x, y, query_x, query_y in zip(*(column.unbind() for column in site), strict=True):
            with higher.innerloop_ctx(
                model, optimizer, copy_initial_weights=False, track_higher_grads=True
            ) as (fast, differentiable):
                for _ in range(inner_steps):
                    differentiable.step(functional.cross_entropy(fast(x), y))
                torch.autograd.backward(functional.cross_entropy(fast(query_x), query_y))
        sums = [p.grad.reshape(-1) for p in model.parameters() if p.grad is not None]
        gradients.append(torch.cat(sums) / site[0].shape[0])
    return torch.stack(gradients)


def set_jax_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep JAX on one CPU thread, unless the caller's environment says otherwise."""
    for name, value in JAX_ENVIRONMENT.items():
        environment.setdefault(name, value)


def make_jax(*, chunk: int = JAX_CHUNK) -> Arithmetic:
    """Return the meta-gradients' JAX version: `jit(vmap(grad))`, compiled once for each shape.

    Sites are handed over in chunks; a last chunk of another size is one more shape to compile.
    """
    compiled = _compile_jax()

    def jax_vmap(theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int) -> Tensor:
        parameters = [p.detach().numpy() for p in theta.values()]
        chunks = zip(*(torch.split(c, chunk) for c in _columns(episodes)), strict=True)
        results = [
            compiled(parameters, [c.numpy() for c in columns], inner_lr, inner_steps)
            for columns in chunks
        ]
        return torch.cat([from_dlpack(result) for result in results])

    return jax_vmap


def _compile_jax() -> Callable[..., Any]:
    """Return (parameters, four columns [B, E, ...], inner_lr, inner_steps) to an array [B, d]."""
    import jax
    import jax.numpy as jnp

    def loss(phi: Sequence[Any], x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = phi
        logits = jax.nn.relu(x @ w1.T + b1) @ w2.T + b2
        return -(jax.nn.log_softmax(logits) * jax.nn.one_hot(y, len(b2))).sum(-1).mean()

    def query_loss(phi: Sequence[Any], lr: Any, steps: int, rows: Sequence[Any]) -> Any:
        x, y, query_x, query_y = rows
        for _ in range(steps):  # unrolled by the compiler: no slower than a `scan` for few steps
            phi = [p - lr * g for p, g in zip(phi, jax.grad(loss)(phi, x, y), strict=True)]
        return loss(phi, query_x, query_y)

    def site_loss(theta: Sequence[Any], lr: Any, steps: int, site: Sequence[Any]) -> Any:
        return jax.vmap(partial(query_loss, theta, lr, steps))(site).mean()

    def meta_gradients(theta: Sequence[Any], sites: Any, lr: Any, steps: int) -> Any:
        gradients = jax.vmap(lambda site: jax.grad(site_loss)(theta, lr, steps, site))(sites)
        return jnp.concatenate([g.reshape(len(g), -1) for g in gradients], axis=1)

    compiled: Callable[..., Any] = jax.jit(meta_gradients, static_argnums=3)
    return compiled


def random_episodes(
    sites: int,
    generator: torch.Generator,
    *,
    episodes: int = 8,
    support: int = 10,
    query: int = 15,
    features: int = 32,
) -> Episode:
    """Return full episodes of noise [sites, episodes, ...]: what it costs depends on no value."""

    def rows(size: int) -> Rows:
        shape = (sites, episodes, size)
        x = torch.randn(*shape, features, generator=generator)
        return Rows(x, torch.randint(2, shape, generator=generator), torch.ones(shape))

    return Episode(rows(support), rows(query))
