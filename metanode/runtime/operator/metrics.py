"""Counters of one node for Prometheus, in a registry of their own: nodes may share a process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest


class Metrics:
    """What the node counts. Label values come from closed sets in the code, never from peers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = self._counter("frames", "Frames by direction.", "direction")
        self._bytes = self._counter("frame_bytes", "Bytes in frames by direction.", "direction")
        self._refused = self._counter("frames_refused", "Frames refused by reason.", "reason")
        self._rounds = self._counter("rounds", "Rounds by outcome.", "outcome")
        self._transitions = self._counter("transitions", "Transitions by table.", "table")
        self._rejected = self._counter("rejected", "Events no row allowed, by table.", "table")
        self._links = Gauge("metanode_links", "Links up.", registry=self.registry)
        self._listed = Gauge("metanode_peers_listed", "Listed peers.", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, doc: str, label: str) -> Counter:
        return Counter(f"metanode_{name}", doc, [label], registry=self.registry)

    def frame(self, direction: str, octets: int) -> None:
        """Count one frame ("in" or "out") of ``octets`` bytes."""
        self._frames.labels(direction).inc()
        self._bytes.labels(direction).inc(octets)

    def refused_frame(self, reason: str) -> None:
        """Count a frame that was refused, by a short fixed reason."""
        self._refused.labels(reason).inc()

    def round(self, outcome: str) -> None:
        """Count a round that ended: "signed", "skipped", "no set", "timeout", ..."""
        self._rounds.labels(outcome).inc()

    def transition(self, table: str) -> None:
        """Count an executed row of ``table``."""
        self._transitions.labels(table).inc()

    def rejected(self, table: str) -> None:
        """Count an event that no row of ``table`` allowed."""
        self._rejected.labels(table).inc()

    def links(self, number: int) -> None:
        """Set the number of links that are up."""
        self._links.set(number)

    def listed(self, number: int) -> None:
        """Set the number of listed peers."""
        self._listed.set(number)

    def render(self) -> bytes:
        """Return the exposition text of all metrics."""
        return generate_latest(self.registry)
