"""A study's model, loss and algorithm, put together: the same object on server and site."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor
from torch.func import functional_call

from common.algorithms.base import Algorithm, InnerSettings, find_algorithm, update
from common.episodes import Episode, EpisodePlan
from common.errors import NonFiniteError, SettingsError
from common.features import num_inputs
from common.models import Loss, initialize, perceptron, weighted_loss
from common.parameters import Params, all_finite, count, flatten, unflatten
from common.study import AlgorithmSettings, Study


@dataclass(frozen=True)
class Learner:
    """What a study computes. `initial` is the first `meta`: names and shapes of all later ones."""

    algorithm: Algorithm
    settings: InnerSettings
    loss: Loss
    logits: Callable[[Params, Tensor], Tensor]
    initial: Params
    plan: EpisodePlan
    rounds: int

    @cached_property
    def dim(self) -> int:
        """The number d of learned scalars."""
        return count(self.initial)

    def update(self, meta: Tensor, episodes: Episode, *, round_index: int) -> Tensor:
        """Return a site's update [d] for `meta` [d] in round 1..rounds.

        Raises:
            NonFiniteError: the update holds NaN or infinity.
        """
        settings = replace(self.settings, progress=(round_index - 1) / max(self.rounds - 1, 1))
        params = unflatten(meta, self.initial)
        result = update(self.algorithm, self.loss, params, episodes, settings)
        if not all_finite(result):
            raise NonFiniteError(
                "the update is NaN or infinite",
                where=f"{self.algorithm.name}, round {round_index}",
                remedy="lower inner_lr or inner_steps",
            )
        return flatten(result).detach()


def make_learner(study: Study, *, seed: int) -> Learner:
    """Return the study's learner; theta's first values are drawn from `seed`.

    Raises:
        SettingsError: the algorithm or one of its options is unknown or out of range.
    """
    algorithm = find_algorithm(study.algorithm.name)
    settings = inner_settings(algorithm, study.algorithm)
    inputs = num_inputs(study.features)
    model, theta = initialize(lambda: perceptron(inputs, hidden=study.model.hidden), seed)
    return Learner(
        algorithm=algorithm,
        settings=settings,
        loss=weighted_loss(model),
        logits=lambda params, x: functional_call(model, params, (x,)),
        initial=algorithm.initial(theta, settings),
        plan=EpisodePlan(**study.episodes.model_dump()),
        rounds=study.server.rounds,
    )


def inner_settings(algorithm: Algorithm, given: AlgorithmSettings) -> InnerSettings:
    """Return the inner loop's settings with the algorithm's own options checked and complete."""
    if unknown := set(given.options) - set(algorithm.options):
        raise SettingsError(
            f"{algorithm.name} has no option {min(unknown)}",
            where="algorithm.options",
            remedy=f"it has: {', '.join(algorithm.options) or 'none'}",
        )
    options = {name: o.default for name, o in algorithm.options.items()} | given.options
    for name, option in algorithm.options.items():
        if not option.low <= options[name] <= option.high:
            raise SettingsError(
                f"{name} is {options[name]}",
                where="algorithm.options",
                remedy=f"give a number from {option.low} to {option.high}",
            )
    return InnerSettings(inner_lr=given.inner_lr, inner_steps=given.inner_steps, options=options)
