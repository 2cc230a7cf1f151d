"""A signing round at honest nodes: its steps, and when there is none."""

from __future__ import annotations

from typing import Any

from metanode.protocol.rounds.round import proposal_id_hash, share_proof_context
from metanode.protocol.tables.runner import Effects
from spec import messages as m
from tests.simulation.hostile import MIDDLE, OUTSIDER
from tests.simulation.simulator import Simulation, with_key

DAY_S = 86_400


def traced(sim: Simulation, number: int) -> list[dict[str, Any]]:
    """Collect the transitions of a node from now on."""
    found: list[dict[str, Any]] = []

    def note(effects: Effects) -> None:
        found.extend(effects.trace)

    sim.nodes[number].watcher = note
    return found


def phases(trace: list[dict[str, Any]]) -> list[str]:
    """Return the phases that a node went through, in order."""
    moves = [t for t in trace if t["table"] == "peer" and t["from"] != t["to"]]
    return [moves[0]["from"], *(t["to"] for t in moves)] if moves else []


def test_a_signer_goes_through_all_phases_in_one_round() -> None:
    """Catches a phase that is skipped: each has a guard that rests on the one before."""
    sim = with_key(1)
    sim.mine_every(0.7)
    sim.run(0.3)
    signer, other = traced(sim, MIDDLE), traced(sim, OUTSIDER)
    sim.deposit()
    sim.settle()
    sim.run(2.0)
    wanted = ["Idle", "Proposing", "SetBuilding", "ThresholdSet", "Signing", "Cooldown", "Idle"]
    assert phases(signer) == wanted
    assert phases(other) == ["Idle", "Proposing", "SetBuilding", "Cooldown", "Idle"]


def test_every_transition_says_what_its_guard_read() -> None:
    """Catches a trace from which nobody can see why a vote was given."""
    sim = with_key(2)
    sim.mine_every(0.7)
    sim.run(0.3)
    trace = traced(sim, MIDDLE)
    sim.deposit()
    sim.settle()
    votes = [t for t in trace if t["event"] == "SetFound"]
    assert len(votes) == 1
    assert votes[0]["sends"] == ["vote"]
    assert any(w.startswith("voted[") for w in votes[0]["writes"])
    assert any(name.startswith("lock[") for name in votes[0]["reads"])


def test_without_a_transfer_the_round_is_skipped() -> None:
    """Catches empty payouts, and messages that nobody needs."""
    sim = with_key(3)
    sim.mine_every(0.7)
    sim.run(8.0)
    assert not {"Offer", "Proposal", "Vote"} & set(sim.sent)


def test_the_next_payout_waits_until_the_last_is_final() -> None:
    """F-03: catches a second payout from coins that a reorganisation may still take away."""
    sim = with_key(4)
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: bool(sim.noted("payout.signed", MIDDLE)), 5.0, "the first is signed")
    sim.run(0.3)
    sim.users.mine()
    first = sim.sent["Offer"]
    for node in sim.nodes:
        node.chain.set_down(True)  # nobody sees that the first payout was mined
    sim.run(6.0)
    assert sim.sent["Offer"] == first
    for node in sim.nodes:
        node.chain.set_down(False)
    sim.deposit(400_000)
    sim.mine_every(0.7)
    sim.settle()


def test_no_round_begins_next_to_midnight() -> None:
    """Catches a round that runs into the time of the nightly regroup."""
    sim = with_key(5, begin_s=DAY_S - 5.0 - 1_800_000_000 % DAY_S)
    sim.run(0.2)
    sim.deposit()
    sim.run(0.3)
    sim.users.mine()
    sim.run(4.4)
    assert not {"Offer", "Proposal", "Vote"} & set(sim.sent)
    sim.mine_every(0.7)
    sim.settle()


def test_a_round_that_falls_short_of_votes_ends_without_a_trace() -> None:
    """Catches a node that stays in a phase when the others fell silent."""
    sim = with_key(6)
    for number in range(1, 4):
        sim.tamper[number] = lambda _to, message: [] if isinstance(message, m.Vote) else [message]
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run(4.0)
    assert not sim.noted("round.signing")
    assert sim.core(MIDDLE).rounds.phase() in ("Idle", "Cooldown", "Proposing", "SetBuilding",
                                               "ThresholdSet")
    assert not sim.checkers.releases
    sim.tamper.clear()
    sim.settle()


def test_hashes_and_proofs_name_peer_round_and_epoch() -> None:
    """F-10, F-11: catches a proposal that fits another peer, round, epoch or network."""
    base = (b"p" * 33, 5, 1, b"document")
    others = [(b"q" * 33, *base[1:]), (base[0], 6, *base[2:]), (*base[:2], 2, base[3]),
              (*base[:3], b"other")]
    assert len({proposal_id_hash(*one) for one in (base, *others)}) == 5
    proofs = [
        (b"n" * 32, b"p" * 33, 1, 5),
        (b"m" * 32, b"p" * 33, 1, 5),
        (b"n" * 32, b"q" * 33, 1, 5),
        (b"n" * 32, b"p" * 33, 2, 5),
        (b"n" * 32, b"p" * 33, 1, 6),
    ]
    assert len({share_proof_context(*one) for one in proofs}) == 5
    # no two splits of the same octets are one input
    assert proposal_id_hash(b"p" * 33 + b"x", 5, 1, b"y") != proposal_id_hash(
        b"p" * 33, 5, 1, b"xy"
    )
