"""Every metric of a node, once: name, kind, labels, meaning. The page of them is made from this.

Names and units follow the conventions of Prometheus: base units (seconds, bytes), the unit at the
end of the name, ``_total`` for what only grows, labels from closed sets in the code and never from
peers.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
PREFIX: Final = "metanode_"


@frozen
class Metric:
    """One metric; ``name`` is what a collector sees, ``of`` the values that a label takes."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...] = ()
    of: str = ""
    buckets: tuple[float, ...] = ()


ROUND_BUCKETS_S: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)

METRICS: Final = (
    Metric("metanode_build_info", GAUGE, "Always 1; the label is the version.", ("version",)),
    Metric("metanode_ready", GAUGE, "1 while the node can take part in signing, as /readyz says."),
    Metric("metanode_hindrance", GAUGE, "1 for each reason for which it cannot.", ("reason",),
           "the codes of /readyz"),
    Metric("metanode_phase", GAUGE, "1 for the phase that the node is in, 0 for the others.",
           ("phase",), "the states of spec/tables/peer.py"),
    Metric("metanode_rounds_total", COUNTER, "Rounds by outcome.", ("outcome",), "ended, signed"),
    Metric("metanode_round_duration_seconds", HISTOGRAM,
           "Time from a round's start to its end with or without a signature.", ("outcome",),
           "ended, signed", ROUND_BUCKETS_S),
    Metric("metanode_round_period_seconds", GAUGE, "How long a round may take."),
    Metric("metanode_links", GAUGE, "Links that are up."),
    Metric("metanode_peers_listed", GAUGE, "Peers on the list: staked, fresh and with a share."),
    Metric("metanode_peers_blocked", GAUGE, "Peers that are blocked on evidence."),
    Metric("metanode_peers_excluded", GAUGE, "Peers and addresses refused for their conduct."),
    Metric("metanode_stake_online_ratio", GAUGE, "Share of the members' stake that is online."),
    Metric("metanode_frames_total", COUNTER, "Frames by direction.", ("direction",), "in, out"),
    Metric("metanode_frame_bytes_total", COUNTER, "Bytes in frames by direction.", ("direction",),
           "in, out"),
    Metric("metanode_frames_refused_total", COUNTER, "Frames refused by reason.", ("reason",),
           "fault, malformed"),
    Metric("metanode_connections_refused_total", COUNTER, "Connections refused, all reasons."),
    Metric("metanode_transitions_total", COUNTER, "Rows executed, by table.", ("table",),
           "the tables of spec/tables"),
    Metric("metanode_transitions_rejected_total", COUNTER, "Events that no row allowed, by table.",
           ("table",), "the tables of spec/tables"),
    Metric("metanode_input_queue_length", GAUGE, "Inputs that wait for the core."),
    Metric("metanode_chain_height_blocks", GAUGE, "The newest block that the node has read."),
    Metric("metanode_chain_up", GAUGE, "1 while the chain daemon answers as it should."),
    Metric("metanode_key_epoch", GAUGE, "The epoch of the key in force; 0 before there is a key."),
    Metric("metanode_deposits_waiting", GAUGE, "Deposits that are not paid, by what they wait for.",
           ("waits_for",), "the words of `status`"),
    Metric("metanode_payouts", GAUGE, "Payouts that the node knows, by state.", ("state",),
           "the states of spec/tables/payout.py"),
    Metric("metanode_trace_lines_total", COUNTER, "Lines of the trace, since its beginning."),
    Metric("metanode_start_time_seconds", GAUGE, "When the node started, in unix seconds."),
)
"""Beside these, the process collector of the client library tells of the process:
``process_cpu_seconds_total``, ``process_resident_memory_bytes``, ``process_open_fds`` and others.
"""

BY_NAME: Final = {metric.name: metric for metric in METRICS}
