"""The card's part on training: the settings, and who took part in how many rounds."""

from collections import Counter
from collections.abc import Sequence

from common.pages import count
from server.page.epsilon import shown_patients
from server.publishing.blocks import Block, Grid, Para, Section, Terms
from server.publishing.documents import code
from server.publishing.reading import Given
from server.state import RoundRecord

MOST = 200
WORDS = {
    "absent": "did not answer the roll call",
    "away": "had left",
    "deadline": "no reply in time",
    "closed": "too late, the round had enough",
}


def training_section(given: Given) -> Section:
    """Return how the initialization was trained, and by whom."""
    study = given.study
    settings, server, episodes = given.learner.settings, study.server, study.episodes
    options = "".join(f", {name} {value:g}" for name, value in settings.options.items())
    terms = {
        "algorithm": f"{study.algorithm.name}: {count(settings.inner_steps, 'inner step')} of size "
        f"{settings.inner_lr:g}{options}",
        "episodes": f"{episodes.meta_batch} a round and site, of {episodes.support} support and "
        f"{episodes.query} query patients",
        "server": f"{server.optimizer}, meta_lr {server.meta_lr:g}, quorum {server.quorum:.0%}",
        "rounds": f"{given.state.round_index} of {server.rounds} done in "
        f"{count(len(given.records), 'attempt')}",
    }
    return Section("How it was trained", [Terms(terms), *_sites(given)])


def _sites(given: Given) -> list[Block]:
    """Return a table of sites; a round counts for a site if its update was in a closed one."""
    closed = [record for record in given.records if record.closed]
    took, listed = Counter(s for r in closed for s in r.accepted), given.study.sites
    names = [site.name for site in listed] or sorted(took | _dropped(given.records))
    declared = {site.name: shown_patients(site.patients) for site in listed}
    rows = [
        (name, str(took[name]), why(given.records, name), declared.get(name, "not declared"))
        for name in names[:MOST]
    ]
    blocks: list[Block] = [
        Para(
            f"{sum(took[n] > 0 for n in names)} of {count(len(names), 'site')} took part. An "
            "attempt without a site names the reason; patients are those that a site declared "
            "before the study, not those that were used."
        ),
        Grid(
            ("site", "rounds it took part in", "left out of attempts", "declared patients"),
            rows,
            words=True,
        ),
    ]
    if len(names) > MOST:
        blocks.append(Para(f"{len(names) - MOST:,} more sites: rounds.jsonl."))
    return blocks


def why(records: Sequence[RoundRecord], site: str) -> str:
    """Return how often a site was left out, by reason, in words."""
    reasons = Counter(code(r.dropped[site]) for r in records if site in r.dropped)
    told = (f"{n} x {WORDS.get(reason, reason)}" for reason, n in reasons.most_common())
    return "; ".join(told) or "none"


def _dropped(records: Sequence[RoundRecord]) -> Counter[str]:
    return Counter(site for record in records for site in record.dropped)
