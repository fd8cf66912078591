"""A run for Prometheus, made anew from the folder at every scrape."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.control import Phase
from server.page.live import Live
from server.page.sites import count_states


class RunCollector(Collector):
    """Collects the numbers of one run."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers of the run as it is now."""
        run, memory, study = self._live.refresh(), self._live.memory, self._live.study
        yield _gauge("round", "Last round that closed", run.round_index)
        yield _gauge("rounds", "Rounds that the study plans", study.server.rounds)
        phase = GaugeMetricFamily("wardround_phase", "1 for the phase of the run", labels=["phase"])
        for name in get_args(Phase):
            phase.add_metric([name], float(run.status is not None and run.status.phase == name))
        yield phase
        yield _gauge("process_alive", "Whether the run's process is seen here", run.alive)
        sites = GaugeMetricFamily("wardround_sites", "Sites by last attempt", labels=["state"])
        for state, number in count_states(study, memory).items():
            sites.add_metric([state], number)
        yield sites
        last = memory.last_closed
        if last:
            yield _gauge("last_round_seconds", "Seconds of the last closed round", last.seconds)
        yield from self._counters()

    def _counters(self) -> Iterator[Metric]:
        memory = self._live.memory
        attempts = CounterMetricFamily(
            "wardround_attempts", "Attempts at a round", labels=["outcome"]
        )
        attempts.add_metric(["closed"], memory.closed)
        attempts.add_metric(["no quorum"], memory.failed)
        yield attempts
        drops = CounterMetricFamily("wardround_drops", "Dropped sites", labels=["reason"])
        for reason, number in memory.reasons.items():
            drops.add_metric([reason], number)
        yield drops


def exposition(live: Live) -> bytes:
    """Return the numbers in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(live))
    with live.lock:
        return generate_latest(registry)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"wardround_{name}", about, value=float(value))
