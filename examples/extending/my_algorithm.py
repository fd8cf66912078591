"""A new algorithm: MAML whose inner loop is pulled back towards theta, with a strength of its own.

A proximal inner loop, as in Rajeswaran et al., "Meta-Learning with Implicit Gradients", NeurIPS
2019, arXiv 1909.04630, equation 3; here by a few steps, and the gradient runs through them.
"""

import wardround as wr


def pulled_loss(loss: wr.Loss, theta: wr.Params, strength: float) -> wr.Loss:
    """Return loss(phi) + strength / 2 * ||phi - theta||^2."""

    def pulled(phi: wr.Params, x: wr.Tensor, y: wr.Tensor, weight: wr.Tensor) -> wr.Tensor:
        away = [(phi[name] - theta[name]).square().sum() for name in phi]
        return loss(phi, x, y, weight) + strength / 2 * sum(away, start=weight.new_zeros(()))

    return pulled


def query_loss(
    loss: wr.Loss, theta: wr.Params, episode: wr.Episode, settings: wr.InnerSettings
) -> wr.Tensor:
    """Return the query loss after K pulled inner steps."""
    pulled = pulled_loss(loss, theta, settings.options["strength"])
    rates, steps = wr.constant(theta, settings), settings.inner_steps
    phi = wr.adapt(pulled, theta, episode.support, rates, steps=steps, second_order=True)
    return loss(phi, *episode.query)


MY_ALGORITHM = wr.Algorithm(
    name="my-algorithm",
    summary="MAML with a proximal inner loop",
    source="Rajeswaran et al. 2019, equation 3",
    episode_update=wr.gradient_of(query_loss),
    options={"strength": wr.Option(default=1.0, low=0, high=100, meaning="of the pull")},
    group_wise=True,  # the update of one episode is a function of that episode alone
)
