"""Prometheus metrics on loopback: the numbers of the status, and how long requests took."""

from threading import Thread
from typing import TYPE_CHECKING

from client.executor.codes import OTHER
from client.executor.place import LOOPBACK
from client.executor.status import Status
from common.errors import SettingsError

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Gauges:
    """What a Prometheus on this machine may read; with port 0, nothing is opened."""

    def __init__(self, port: int) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        self._requests = Counter(
            "wardround_requests", "Requests by outcome.", ["code"], registry=registry
        )
        self._seconds = Histogram(
            "wardround_request_seconds", "Time per request.", registry=registry, buckets=BUCKETS
        )
        self._up = Gauge("wardround_connected", "1: coordinator reached.", registry=registry)
        self._contact = Gauge(
            "wardround_last_contact_seconds", "Unix time of the last contact.", registry=registry
        )
        self._starts = Gauge(
            "wardround_starts", "Starts of a process.", ["part"], registry=registry
        )
        self._codes: set[str] = set()
        self._stop = _serve(port, registry) if port else None

    def request(self, code: str, seconds: float) -> None:
        """Count a request; an empty code is an answer."""
        if len(self._codes) < 64:
            self._codes.add(code)
        self._requests.labels(code or "answered" if code in self._codes else OTHER).inc()
        self._seconds.observe(seconds)

    def show(self, status: Status, now: float) -> None:
        """Take over the status."""
        self._up.set(status.connected(now))
        self._contact.set(status.contact)
        for part, number in status.starts.items():
            self._starts.labels(part).set(number)

    def close(self) -> None:
        """Close the port."""
        if self._stop is not None:
            server, thread = self._stop
            server.shutdown()
            server.server_close()
            thread.join()


def _serve(port: int, registry: "CollectorRegistry") -> "tuple[WSGIServer, Thread]":
    from prometheus_client import start_http_server

    try:
        return start_http_server(port, addr=LOOPBACK, registry=registry)
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be offered: {error.strerror}",
            where=f"service.metrics_port {port}",
            remedy="write a free port, or 0 for none",
        ) from None
