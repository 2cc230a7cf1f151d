"""A dishonest member in a signing round: equivocation, forged locks, odd sets, wrong votes."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import Equivocation
from spec import messages as m
from tests.simulation.hostile import (
    MIDDLE,
    OLDEST,
    OUTSIDER,
    YOUNGEST,
    certificate,
    changes,
    forged,
    frames_speak_for_themselves,
    network,
    once,
)
from tests.simulation.simulator import Simulation

OTHER = bytes([7]) * 32


def honest_cores(sim: Simulation) -> list[int]:
    """Return the numbers of the honest nodes."""
    return [n.number for n in sim.nodes if n.number not in sim.dishonest]


def blocked(sim: Simulation, peer: int) -> list[int]:
    """Return the nodes that have a peer on their block list."""
    node_id = sim.nodes[peer].node_id
    return [n for n in honest_cores(sim) if sim.core(n).pings.is_blocked(node_id)]


def two_proposals(message: m.Proposal) -> list[object]:
    """Say two different things in one round."""
    return [message, evolve(message, document_hash=OTHER)]


def test_two_proposals_are_evidence_and_the_others_go_on() -> None:
    """F-05: catches an equivocation that is not noticed, not provable, or that stops the round."""
    sim = network(1)
    liar = sim.nodes[OLDEST].node_id
    sim.tamper[OLDEST] = changes(m.Proposal, two_proposals)
    sim.settle()
    assert blocked(sim, OLDEST) == sorted([OUTSIDER, YOUNGEST, MIDDLE])
    found = [fault for fault in sim.faults_of(OLDEST) if isinstance(fault, Equivocation)]
    assert found
    assert all(frames_speak_for_themselves(fault.frames, liar) for fault in found)
    evidence = sim.core(YOUNGEST).pings.blocks[liar]
    assert frames_speak_for_themselves(evidence.frames, liar)


def test_a_block_outlives_a_restart_with_its_evidence() -> None:
    """Catches a block list in memory only: a restart would forget who lied."""
    sim = network(2)
    liar = sim.nodes[OLDEST].node_id
    sim.tamper[OLDEST] = changes(m.Proposal, two_proposals)
    sim.settle()
    sim.crash(YOUNGEST)
    sim.start(YOUNGEST)
    pings = sim.core(YOUNGEST).pings
    assert pings.is_blocked(liar)
    assert frames_speak_for_themselves(pings.blocks[liar].frames, liar)


def test_different_proposals_to_different_peers_block_nobody_and_hinder_nobody() -> None:
    """F-05: catches a split round; no one node holds two bodies, so nobody may be blocked."""
    sim = network(3)
    deceived = [sim.nodes[YOUNGEST].node_id]
    sim.tamper[OLDEST] = changes(
        m.Proposal, lambda p: [evolve(p, document_hash=OTHER)], to=deceived
    )
    sim.settle()
    assert blocked(sim, OLDEST) == []


@pytest.mark.parametrize("with_proposal", [True, False])
def test_two_signing_sets_are_evidence(with_proposal: bool) -> None:
    """Catches a second set that replaces the first, or ends a node that knows no proposal."""
    sim = network(4)
    liar = sim.nodes[OLDEST].node_id

    def lie(recipient: bytes, message: object) -> list[object]:
        if isinstance(message, m.Proposal) and not with_proposal:
            return []
        if isinstance(message, m.SigningSet):
            return [message, evolve(message, members=message.members[:-1])]
        if isinstance(message, m.Offer) and not with_proposal:
            ids = tuple(sorted(node.node_id for node in sim.nodes))
            sets = [m.SigningSet(message.round, 1, ids), m.SigningSet(message.round, 1, ids[1:])]
            return [message, *sets]
        return [message]

    sim.tamper[OLDEST] = lie
    sim.settle()
    assert blocked(sim, OLDEST) == sorted([OUTSIDER, YOUNGEST, MIDDLE])
    assert not sim.refusals, "an event that the tables do not know ends in an error at the victim"
    evidence = sim.core(MIDDLE).pings.blocks[liar]
    assert frames_speak_for_themselves(evidence.frames, liar)


@pytest.mark.parametrize("kind", ["small", "strangers", "duplicates", "without itself", "empty"])
def test_signing_sets_that_are_none_are_ignored(kind: str) -> None:
    """F-18: catches a set under t, with strangers or duplicates, that shapes the threshold set."""
    sim = network(5)

    def odd(message: m.SigningSet) -> list[object]:
        ids = message.members
        me = sim.nodes[OLDEST].node_id
        members = {
            "small": ids[:2],
            "strangers": (*ids, b"\x02" + bytes(32)),
            "duplicates": (*ids, ids[0]),
            "without itself": tuple(i for i in ids if i != me),
            "empty": (),
        }[kind]
        return [evolve(message, members=members)]

    sim.tamper[OLDEST] = changes(m.SigningSet, odd)
    sim.settle()
    signers = sim.core(MIDDLE).report()["payouts"][0]["signers"]
    assert sim.nodes[OLDEST].node_id.hex() not in signers
    assert blocked(sim, OLDEST) == []


def test_a_wrong_vote_ends_the_round_and_blocks_nobody() -> None:
    """F-06: catches a block, or a certificate, that comes of a mismatch."""
    sim = network(6)
    sim.tamper[OLDEST] = changes(m.Vote, once(lambda v: [evolve(v, digest=OTHER)]))
    sim.settle()
    assert blocked(sim, OLDEST) == []
    rounds = {note["round"] for note in sim.noted("round.proposed", YOUNGEST)}
    assert len(rounds) == 2, "one round was lost, the next one paid"


def test_a_member_outside_the_threshold_set_cannot_end_the_round() -> None:
    """Catches a round that any holder can spoil with a vote nobody asked it for."""
    sim = network(7, bad=OUTSIDER)
    me = sim.nodes[OUTSIDER].node_id

    def meddle(recipient: bytes, message: object) -> list[object]:
        if isinstance(message, m.SigningSet):
            document = sim.core(YOUNGEST).hearing.book(message.round).document
            event = document.event
            ids = tuple(sorted(node.node_id for node in sim.nodes if node.node_id != me))
            return [message, m.Vote(1, event, message.round, OTHER, (*ids[:2], me))]
        return [message]

    sim.tamper[OUTSIDER] = meddle
    sim.settle()
    rounds = {note["round"] for note in sim.noted("round.proposed", YOUNGEST)}
    assert len(rounds) == 1, "the three others signed in the first round"


def test_a_member_that_always_votes_wrong_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a senior liar that is chosen again in every round for ever."""
    sim = network(8)
    sim.tamper[OLDEST] = changes(m.Vote, lambda v: [evolve(v, digest=OTHER)])
    sim.settle(24.0)


def test_a_member_that_never_votes_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a silent senior that is chosen again in every round for ever."""
    sim = network(9)
    sim.tamper[OLDEST] = changes(m.Vote, lambda v: [])
    sim.settle(24.0)


def test_two_votes_of_one_attempt_are_evidence() -> None:
    """SAFE-SIGN 3: catches a double vote that goes unnoticed or that lets two digests through."""
    sim = network(10)
    liar = sim.nodes[OLDEST].node_id
    sim.tamper[OLDEST] = changes(m.Vote, lambda v: [v, evolve(v, digest=OTHER)])
    sim.settle()
    assert blocked(sim, OLDEST)
    for number in blocked(sim, OLDEST):
        evidence = sim.core(number).pings.blocks[liar]
        assert frames_speak_for_themselves(evidence.frames, liar)


def offer_with(sim: Simulation, locked: m.LockedCandidate) -> None:
    """Let the dishonest node show a lock with each of its offers."""
    sim.tamper[OLDEST] = changes(m.Offer, lambda o: [evolve(o, locked=locked)])


@pytest.mark.parametrize("fault", ["forged", "too few", "strangers", "twice"])
def test_a_lock_without_a_certificate_is_the_offerers_fault(fault: str) -> None:
    """SAFE-SIGN 4: catches a lock taken on somebody's word; the state stays as it was."""
    sim = network(11, deposit=False)
    real = certificate(sim, [1, 2, 3], event=OTHER, digest=OTHER, attempt=1)
    shown = {
        "forged": forged(real),
        "too few": evolve(real, votes=real.votes[:2]),
        "strangers": evolve(
            real, votes=(*real.votes[:2], m.SignedVote(b"\x02" + bytes(32), bytes(64)))
        ),
        "twice": evolve(real, votes=(real.votes[0], real.votes[0], real.votes[1])),
    }[fault]
    offer_with(sim, m.LockedCandidate(b"document", shown))
    sim.deposit()
    sim.settle()
    assert {type(found).__name__ for found in sim.faults_of(OLDEST)} == {"PeerFault"}
    assert len(sim.faults_of(OLDEST)) >= 3, "every honest node names the sender"
    assert blocked(sim, OLDEST) == [], "nothing here convinces a third party"


def test_a_certificate_for_one_document_does_not_lock_another() -> None:
    """Catches a real certificate shown with a foreign document: its holder would choose the payout.

    Two deposits wait; the liar shows the payout of one of them as if an old certificate were its.
    """
    sim = network(12, deposit=False)
    chosen: list[bytes] = []
    real = certificate(
        sim, [1, 2, 3], event=OTHER, digest=OTHER, attempt=sim.core(0).ctx.round_number()
    )

    def show(message: m.Offer) -> list[object]:
        if not chosen:
            candidates = sim.core(OLDEST).candidates
            one = candidates.eligible()[:1]
            key = sim.core(OLDEST).ctx.epoch
            chosen.append(candidates._build(message.height, list(one), key).encode())
        return [evolve(message, locked=m.LockedCandidate(chosen[0], real))]

    sim.tamper[OLDEST] = changes(m.Offer, show)
    sim.deposit(900_000)
    sim.deposit(700_000)
    sim.settle()
    counts = {note["transfers"] for note in sim.noted("round.proposed", YOUNGEST)}
    assert counts == {2}, "the candidate is what the offers hold, not what one member wishes"


def test_a_copied_share_proof_prunes_the_copier() -> None:
    """F-10: catches a senior that pushes a junior out by replaying its proof."""
    sim = network(13)
    stolen: list[bytes] = []

    def seen(message: m.Proposal) -> list[object]:
        stolen.append(message.share_proof)
        return [message]

    sim.tamper[YOUNGEST] = changes(m.Proposal, seen)
    held: list[m.Proposal] = []

    def copy(message: m.Proposal) -> list[object]:
        held.append(message)
        return [evolve(message, share_proof=stolen[0])] if stolen else []

    sim.tamper[OLDEST] = changes(m.Proposal, copy)

    def late() -> None:
        if stolen and held:
            for to in (OUTSIDER, YOUNGEST, MIDDLE):
                sim.inject(OLDEST, evolve(held[0], share_proof=stolen[0]), to)
        else:
            sim.after(0.01, late)

    sim.after(0.01, late)
    sim.settle()
    signers = sim.core(MIDDLE).report()["payouts"][0]["signers"]
    assert sim.nodes[YOUNGEST].node_id.hex() in signers
    assert sim.nodes[OLDEST].node_id.hex() not in signers


@pytest.mark.parametrize("renumbered", [False, True])
def test_a_replayed_proposal_counts_for_nothing(renumbered: bool) -> None:
    """F-11: catches a proposal of an old round that is accepted in a new one."""
    sim = network(14)
    old: list[m.Proposal] = []

    def replay(message: m.Proposal) -> list[object]:
        if not old:
            old.append(message)
            return [message]
        return [evolve(old[0], round=message.round) if renumbered else old[0]]

    sim.tamper[OLDEST] = changes(m.Proposal, replay)
    sim.settle()
    sim.deposit(600_000)
    sim.settle()
    signers = sim.core(MIDDLE).report()["payouts"][-1]["signers"]
    assert sim.nodes[OLDEST].node_id.hex() not in signers


def test_offers_of_deposits_that_do_not_exist_change_nothing() -> None:
    """Catches a candidate with a transfer that only a liar has seen."""
    sim = network(15)
    ghost = m.OutpointRef(OTHER, 0)
    sim.tamper[OLDEST] = changes(
        m.Offer, lambda o: [evolve(o, height=o.height + 1000, transfers=(ghost, *o.transfers))]
    )
    sim.settle()


def test_messages_before_there_is_a_key_are_ignored() -> None:
    """Catches a node without a key that fails on the messages of a signing round."""
    sim = Simulation(seed=16, dishonest={OLDEST})
    sim.start_all()
    sim.run(0.1)
    number = sim.core(0).ctx.round_number()
    ids = tuple(sorted(node.node_id for node in sim.nodes))
    ballot = certificate(sim, [3], event=OTHER, digest=OTHER, attempt=number)
    for message in (
        m.Offer(number, 1, OTHER, (), m.LockedCandidate(b"", ballot)),
        m.Proposal(number, 1, OTHER, OTHER, bytes(65)),
        m.SigningSet(number, 1, ids),
        m.Release(OTHER, 0, 1, b"", 0),
        m.Step(OTHER, 63, 15, b"", 2),
        m.SignatureFound(OTHER, b"", (), ()),
        m.Begin(ballot),
    ):
        sim.inject(OLDEST, message, OUTSIDER)
    everyone = {node.node_id for node in sim.nodes}
    sim.run_until(
        lambda: all(n.core is not None and n.core.ctx.key is not None for n in sim.nodes), 20.0
    )
    assert len(everyone) == 4
    assert not sim.refusals
