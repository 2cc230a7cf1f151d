"""Requests that may expire, in bad weather and through crashes: signed or let go, never both."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from attrs import evolve

from model_checks.conformance import check_traces
from model_checks.trace_log import Refusal
from tests.conformance.recording import recorded
from tests.model_checks.trace_files import Traces, written
from tests.simulation.asking import DIGEST, OTHER, ask_to_sign, quiet, signature
from tests.simulation.expiring import HASTY, LATE_S, expired, hasty, silence, statuses
from tests.simulation.simulator import CALM, Crash, Simulation, Weather, writes_cell

MOMENTS = ("renounced", "released", "voted", "status")


def test_the_traces_of_an_expiry_are_legal(tmp_path: Path) -> None:
    """Catches a certificate that a node counts and no one could have made."""
    traces: list[Traces] = []
    sim = hasty(1, watch=lambda made: traces.append(recorded(made, resumed=True)))
    silence(sim)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: expired(sim, event), LATE_S, "expired")
    said = check_traces(written(tmp_path, traces[0]))
    assert sum(": legal, " in each for each in said) == 4
    lines = [line for records in traces[0].values() for line in records]
    assert sum(line.get("event") == "Expire" and line["table"] == "event" for line in lines) == 4


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        ("statement", "renounced_said"),
        ("too few", "refund_certificate"),
        ("share is out", "released"),
    ],
)
def test_a_made_up_end_is_refused(tmp_path: Path, lie: str, complaint: str) -> None:
    """Catches a validator that takes a statement nobody made, or an end with too few of them."""
    sim = Simulation(seed=2, keygen_s=2.0, preset=HASTY)
    traces = recorded(sim)
    sim.start_all()
    sim.run_until(lambda: len(sim.checkers.locked_keys) == 4, 30.0, "a key is locked in")
    silence(sim)
    ask_to_sign(sim, range(4))
    sim.run(LATE_S)
    lines = traces["node-0"]
    place, end = next(
        (number, line)
        for number, line in enumerate(lines, start=1)
        if (line.get("table"), line.get("event")) == ("event", "Expire")
    )
    me = sim.nodes[0].node_id.hex()[:16]
    if lie == "statement":  # those who made it say nothing about it in their own traces
        for name in ("node-1", "node-2", "node-3"):
            ends = (("event", "Renounce"), ("event", "Expire"))
            traces[name] = [
                line for line in traces[name] if (line.get("table"), line.get("event")) not in ends
            ]
    elif lie == "too few":
        others = [name for name in end["reads"] if name.startswith("renounced_said")]
        end["reads"] |= {name: "False" for name in others if me not in name}
    else:
        out = next(name for name in end["reads"] if name.startswith("released"))
        end["reads"][out] = "True"
    with pytest.raises(Refusal, match=complaint) as caught:
        check_traces(written(tmp_path, traces))
    assert caught.value.where.endswith(f"node-0/trace-000001.jsonl:{place}")


@pytest.mark.parametrize("seed", range(6))
def test_a_storm_in_which_requests_run_out(tmp_path: Path, seed: int) -> None:
    """Catches a request that is signed at one node and expired at another, whatever crashes."""
    dice = random.Random(f"expiry {seed}")
    traces: list[Traces] = []
    sim = quiet(
        40 + seed,
        preset=evolve(HASTY, request_lifetime_s=dice.choice((1, 2, 3))),
        watch=lambda made: traces.append(recorded(made, resumed=True)),
    )
    sim.weather = Weather(latency=(0.002, 0.2), loss=0.25, duplicate=0.1, reorder=0.2)
    events = [ask_to_sign(sim, range(4), digest) for digest in (DIGEST, OTHER)]
    for moment in MOMENTS:
        crash = Crash(
            node=dice.randrange(4),
            when=writes_cell(moment),
            point=dice.choice(("before", "after", "amid")),
            restart_s=dice.uniform(0.2, 2.0),
        )
        sim.crashes.append(crash)
    sim.run(2 * LATE_S)
    sim.weather, sim.crashes = CALM, []
    sim.run_until(sim.all_running, 5.0, "every node is back")
    sim.run(LATE_S)
    for event in events:
        found = set(statuses(sim, event))
        assert len(found & {"SUCCESS", "EXPIRED"}) < 2, "signed here and let go there"
        if any(signature(sim, number, event) for number in range(4)):
            assert found == {"SUCCESS"}, "all are told"
        elif not sim.checkers.releases.get(event):
            assert found == {"EXPIRED"}, "nobody released a share"
    sim.require(not sim.refusals, f"honest nodes ran into refused transitions: {sim.refusals}")
    sim.require(not sim.faults, f"honest nodes blamed each other: {sim.faults}")
    said = check_traces(written(tmp_path, traces[0]))
    assert sum(": legal, " in each for each in said) == 4
