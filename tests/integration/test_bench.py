"""The network benchmark reads the right moments out of the nodes' traces."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.runtime.store.trace import read_trace
from spec.parameters import DEVNET
from tests.integration.support import Live
from tools.bench_network import PHASES, moments, split

PERIOD = DEVNET.round_period_s


def record(at: float, event: str, table: str = "peer") -> dict[str, Any]:
    """Return what `moments` reads of a trace's record."""
    return {"kind": "transition", "at": at, "table": table, "event": event}


def node(number: int, *, slower: float = 1.0) -> list[dict[str, Any]]:
    """Return the records of a round in which each phase takes 10 ms times ``slower``."""
    rows = [end for _, end in PHASES.values()]
    return [
        record(
            number * PERIOD + 0.01 * slower * place, row, "event" if row == "Signature" else "peer"
        )
        for place, row in enumerate(rows, start=1)
    ]


def test_a_round_is_split_into_phases() -> None:
    """Catches phases that are taken from other rows or other rounds than they name."""
    nodes = [moments(node(7, slower=pace)) for pace in (1.0, 2.0, 3.0)]
    phases, totals = split(nodes)
    assert phases == {phase: pytest.approx(0.02) for phase in PHASES}
    assert totals == [pytest.approx(0.06)]


def test_rounds_without_a_signature_or_an_offer_do_not_count() -> None:
    """Catches medians over rounds that came to nothing, or that a restart has cut in half."""
    records = node(7) + node(8)[:-1] + node(9)[1:] + [record(60.0, "Ping")]
    records.append({"kind": "trace_repaired", "bytes_cut": 3})
    assert set(moments(records)) == {7}


def test_real_traces_hold_every_phase(live: Live) -> None:
    """Catches a table whose rows were renamed, so that the benchmark finds nothing."""
    live.paid(live.deposit(2_500_000))
    phases, totals = split([moments(read_trace(home.trace)) for home in live.network.homes])
    assert set(phases) == set(PHASES)
    assert all(0 < total < PERIOD for total in totals)
