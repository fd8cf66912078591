"""A new method in 30 lines: hedged MAML, good before adaptation and after it; 1,000 hospitals."""

import argparse

import wardround as wr

parser = argparse.ArgumentParser()
parser.add_argument("--sites", type=int, default=1000)
parser.add_argument("--out", default="runs/examples")
given, _ = parser.parse_known_args()  # a notebook has arguments of its own


def hedged(loss: wr.Loss, theta: wr.Params, episode: wr.Episode, s: wr.InnerSettings) -> wr.Tensor:
    """Return the query loss, partly at theta and partly at phi after K first-order steps."""
    rates, share = wr.constant(theta, s), s.options["share"]
    phi = wr.adapt(loss, theta, episode.support, rates, steps=s.inner_steps)
    return share * loss(theta, *episode.query) + (1 - share) * loss(phi, *episode.query)


HEDGED = wr.Algorithm(
    name="hedged-maml",
    summary="first-order MAML whose start is good as it is, too",
    source="examples/new_method.py",
    episode_update=wr.gradient_of(hedged),
    options={"share": wr.Option(default=0.5, low=0, high=1, meaning="of the loss at theta")},
)
hospitals = wr.hospitals("synthetic-control", sites=given.sites)
asked = {"server": {"sites_per_round": 100}}  # in each round
runs = [wr.federate(a, hospitals, sections=asked) for a in (HEDGED, "fomaml", "fedavg")]
judged = wr.evaluate(runs, hospitals)
judged.figure(f"{given.out}/new_method.svg")
print(judged)
