"""The metrics of one node for Prometheus, in a registry of their own: nodes may share a process.

What happens is counted when it happens; what can be read from the status is read when a collector
asks. All of it is declared in ``catalogue.py``.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client import generate_latest as exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metanode import __version__
from metanode.runtime.operator.catalogue import BY_NAME, COUNTER
from metanode.runtime.operator.movements import ROUND_OUTCOMES
from metanode.runtime.operator.readiness import HINDRANCES, readiness
from spec.protocol import PROTOCOL

PHASES = PROTOCOL.machines["peer"].states
PAYOUT_STATES = PROTOCOL.machines["payout"].states

# When a counter began is no metric: the start of the node says it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package leaves it untyped

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the metric's value."""


class Metrics:
    """What the node counts. Label values come from closed sets in the code, never from peers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = self._counter("metanode_frames_total")
        self._bytes = self._counter("metanode_frame_bytes_total")
        self._refused = self._counter("metanode_frames_refused_total")
        self._rounds = self._counter("metanode_rounds_total")
        self._transitions = self._counter("metanode_transitions_total")
        self._rejected = self._counter("metanode_transitions_rejected_total")
        lasts = BY_NAME["metanode_round_duration_seconds"]
        self._seconds = Histogram(
            lasts.name, lasts.doc, lasts.labels, registry=self.registry, buckets=lasts.buckets
        )
        for direction in ("in", "out"):  # a series that is there from the start can be subtracted
            self._frames.labels(direction)
            self._bytes.labels(direction)
        for outcome in ROUND_OUTCOMES.values():
            self._rounds.labels(outcome)
            self._seconds.labels(outcome)
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str) -> Counter:
        metric = BY_NAME[name]
        return Counter(metric.name, metric.doc, metric.labels, registry=self.registry)

    def frame(self, direction: str, octets: int) -> None:
        """Count one frame ("in" or "out") of ``octets`` bytes."""
        self._frames.labels(direction).inc()
        self._bytes.labels(direction).inc(octets)

    def refused_frame(self, reason: str) -> None:
        """Count a frame that was refused, by a short fixed reason."""
        self._refused.labels(reason).inc()

    def round(self, outcome: str, seconds: float) -> None:
        """Count a round that came to "signed" or "ended", ``seconds`` after its start."""
        self._rounds.labels(outcome).inc()
        self._seconds.labels(outcome).observe(seconds)

    def transition(self, table: str) -> None:
        """Count an executed row of ``table``."""
        self._transitions.labels(table).inc()

    def rejected(self, table: str) -> None:
        """Count an event that no row of ``table`` allowed."""
        self._rejected.labels(table).inc()

    def watch(self, status: Callable[[], Mapping[str, Any]], queue: Callable[[], int]) -> None:
        """Read from the status and the length of the queue whenever a collector asks."""
        self.registry.register(_OfStatus(status, queue))

    def render(self) -> bytes:
        """Return the exposition text of all metrics."""
        return exposition(self.registry)


class _OfStatus(Collector):
    """The metrics that are read and not counted."""

    def __init__(
        self, status: Callable[[], Mapping[str, Any]], queue: Callable[[], int]
    ) -> None:
        self.status, self.queue = status, queue

    def describe(self) -> list[Metric]:
        """Return nothing: there may be no status when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what the status says now."""
        found = samples(self.status())
        found["metanode_input_queue_length"] = [((), float(self.queue()))]
        for name, read in found.items():
            metric = BY_NAME[name]
            family = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
            told = family(name, metric.doc, labels=metric.labels)
            for labels, value in read:
                told.add_metric(labels, value)
            yield told


def samples(status: Mapping[str, Any]) -> dict[str, list[Sample]]:
    """Return the metrics that a status has in it: by name, the labels with their values."""
    ready = readiness(status)
    reasons = {each["code"] for each in ready["reasons"]}
    waits = Tally(deposit["waits_for"] for deposit in status["deposits"])
    payouts = Tally(payout["state"] for payout in status["payouts"])
    excluded = sum(entry["until"] is not None for entry in status["exclusions"])
    listed = sum(peer["listing"] == "listed" for peer in status["peers"])
    height = 0 if status["chain"] is None else status["chain"]["height"]
    alone: dict[str, float] = {
        "metanode_ready": ready["ready"],
        "metanode_round_period_seconds": status["periods"]["round_s"],
        "metanode_links": len(status["links"]),
        "metanode_peers_listed": listed,
        "metanode_peers_blocked": len(status["blocked"]),
        "metanode_peers_excluded": excluded,
        "metanode_stake_online_ratio": status["weight"]["online_percent"] / 100,
        "metanode_connections_refused_total": sum(status["refused"].values()),
        "metanode_chain_height_blocks": height,
        "metanode_chain_up": status["chain_fault"] is None,
        "metanode_key_epoch": 0 if status["key"] is None else status["key"]["epoch"],
        "metanode_trace_lines_total": status["trace"]["seq"],
        "metanode_start_time_seconds": status["started"],
    }
    return {
        "metanode_build_info": [((__version__,), 1)],
        "metanode_hindrance": [((code,), code in reasons) for code in HINDRANCES],
        "metanode_phase": [((phase,), phase == status["phase"]) for phase in PHASES],
        "metanode_deposits_waiting": [((word,), count) for word, count in sorted(waits.items())],
        "metanode_payouts": [((state,), payouts[state]) for state in PAYOUT_STATES],
        **{name: [((), float(value))] for name, value in alone.items()},
    }
