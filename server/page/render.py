"""The page, once, and the fragments of it that change; Jinja escapes every value shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.privacy.profiles import PROFILES, SIMULATED
from common.study import Study
from server.control import Status, Wish
from server.page.epsilon import shown_epsilon
from server.page.measured import Metrics
from server.page.memory import Memory
from server.page.sites import MOST_SITES, TAKING_PART, count_states, site_names, site_rows
from server.page.words import State, reason

HERE = Path(__file__).parent
FRAGMENTS = ("said", "state", "notices", "numbers", "sites", "rounds", "learning", "movement")
SHOWN_ROUNDS, SHOWN_STEPS = 12, 20
METRICS = {"auroc": "AUROC", "brier": "Brier score", "ece": "Calibration error"}
SHORTEST_MINUTES_S, SHORTEST_HOURS_S = 120, 7200


class Run(NamedTuple):
    """What the folder holds at one moment. round_index: the last round that closed."""

    status: Status | None
    wish: Wish
    alive: bool
    round_index: int
    state: State
    metrics: Metrics | None
    notices: tuple[str, ...]


def environment() -> Environment:
    """Return the templates, which escape whatever they are given."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"duration": duration, "clock": clock, "reason": reason, "iso": iso}
    return found


@dataclass
class Renderer:
    """Renders one study. controls: whether there is a token, so that buttons make sense.

    simulated: the run's noise follows from a seed.
    """

    study: Study
    folder: str
    controls: bool
    simulated: bool = False

    def __post_init__(self) -> None:
        self._templates = environment()
        self._epsilon = shown_epsilon(self.study)

    def page(self, html: Mapping[str, str], cursor: str, first: str) -> str:
        """Return the whole page.

        html: its fragments, which are escaped already. cursor: where its stream begins. first:
        JSON of what its charts show until then.
        """
        return self._templates.get_template("page.html").render(
            study=self.study,
            profile=PROFILES[self.study.privacy.profile],
            simulated=SIMULATED if self.simulated and self._epsilon else "",
            folder=self.folder,
            controls=self.controls,
            version=version("wardround"),
            html=html,
            cursor=cursor,
            first=first,
        )

    def fragments(
        self, run: Run, memory: Memory, steps: Sequence[tuple[int, float]]
    ) -> dict[str, str]:
        """Return the HTML of every fragment by name."""
        values = self._values(run, memory, steps)
        return {
            name: self._templates.get_template(f"{name}.html").render(values).strip()
            for name in FRAGMENTS
        }

    def _values(
        self, run: Run, memory: Memory, steps: Sequence[tuple[int, float]]
    ) -> dict[str, Any]:
        study, left = self.study, self.study.server.rounds - run.round_index
        sites, counts = site_names(study, memory), count_states(study, memory)
        return {
            "run": run,
            "study": study,
            "memory": memory,
            "recent": list(reversed(memory.recent))[:SHOWN_ROUNDS],
            "steps": steps[-SHOWN_STEPS:],
            "rows": site_rows(study, memory, self._epsilon),
            "more": max(0, len(sites) - MOST_SITES),
            "sites": len(sites),
            "here": counts[TAKING_PART],
            "epsilon": bool(self._epsilon),
            "left_s": left * memory.pace if left > 0 and run.state.can else 0,
            "metric_names": METRICS,
        }


def duration(seconds: float) -> str:
    """Return "3.2 s", "12 min" or "5 h 20 min"."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < SHORTEST_MINUTES_S:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < SHORTEST_HOURS_S:
        return f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"


def iso(when: float) -> str:
    """Return a Unix time as the datetime attribute of <time> has it."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def clock(when: float) -> str:
    """Return a Unix time for readers without scripts; the page's script makes it local."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC")
