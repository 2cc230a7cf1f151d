"""Pings and the peer list of one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve

from metanode.chains.base import StakeReason, StakeVerdict
from metanode.custody.types import Outpoint
from metanode.protocol.context import Context, outpoint_ref
from metanode.protocol.inputs import Endpoints, StakeAnswer, Tick
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.peer_list import PeerList, ping_proof_context
from metanode.protocol.tables.effects import CheckStake, LearnEndpoints
from metanode.tss.proofs import prove_share
from spec import messages as m
from tests.protocol.peers.support import (
    ME,
    PEER,
    THIRD,
    context,
    epoch,
    notes,
    received,
    stakes_of,
    take_in,
)
from tests.protocol.support import IDENTITIES, PRESET
from tests.protocol.support import NETWORK_ID as NETWORK
from tests.protocol.support import START as NOW
from tests.support import entropy

STAKE = Outpoint(b"s" * 32, 1)
MS = int(NOW * 1000)


def alone(key: KeyEpoch | None = None, **options: Any) -> tuple[Context, PeerList]:
    """Return a node's peer list, with its block list, and nothing else of the node."""
    ctx = context(key=key, **options)
    return ctx, PeerList(ctx, BlockList(ctx), stakes_of(ctx))


def cores(peers: PeerList) -> tuple[PeerList, BlockList]:
    """Return both lists."""
    return peers, peers.blocks


def ping(sequence: int = MS, *, key: KeyEpoch | None = None, place: int = 1) -> m.Ping:
    """Return a good ping of a node, which proves its share of a key if there is one."""
    proof = None
    if key is not None and key.keyshare is not None:
        mine = IDENTITIES[place].node_id
        about = ping_proof_context(NETWORK, mine, sequence)
        proof = prove_share(key.share.secret_share, key.public_share(mine), about, entropy("p"))
    key_id = None if key is None else key.key_id
    number = 0 if key is None else key.number
    return m.Ping(sequence, MS, "Idle", outpoint_ref(STAKE), key_id, proof, number, "ok")


def hear(ctx: Context, peers: PeerList, *pings: m.Ping, place: int = 1, after: float = 0.0) -> None:
    """Let a node take pings of another one in."""
    for each in pings:
        take_in(ctx, received(each, place), *cores(peers), after=after)


def answered(
    ctx: Context, peers: PeerList, verdict: StakeReason = "ok", stake: Outpoint = STAKE,
    peer: bytes = PEER, height: int = 100,
) -> None:
    """Let the chain answer about a stake."""
    found = StakeVerdict(verdict == "ok", verdict, height=height)
    take_in(ctx, StakeAnswer(peer, stake, found), *cores(peers))


def listed(*places: int) -> tuple[Context, PeerList]:
    """Return the peer list of a node that has listed these."""
    ctx, peers = alone()
    for place in places:
        hear(ctx, peers, ping(), place=place)
        answered(ctx, peers, peer=IDENTITIES[place].node_id, height=100 - place)
    return ctx, peers


def test_a_ping_makes_the_node_ask_about_the_stake_and_a_good_one_is_listed() -> None:
    """Catches a peer that is listed by its word alone, or never, or that is asked about always."""
    ctx, peers = alone()
    hear(ctx, peers, ping(), ping(MS + 1))
    assert ctx.tables.effects.requests == [CheckStake(PEER, STAKE)]
    assert ctx.state("ping", PEER) == "checking"
    answered(ctx, peers)
    assert peers.is_listed(PEER)
    assert [(member.node_id, member.stake) for member in peers.members()] == [(PEER, STAKE)]
    hear(ctx, peers, ping(MS + 2))
    assert len(ctx.tables.effects.requests) == 1
    assert peers.is_listed(PEER)


@pytest.mark.parametrize("verdict", ["spent", "short", "young", "foreign", "unconfirmed"])
def test_a_bad_stake_lists_nobody_until_a_ping_asks_again(verdict: StakeReason) -> None:
    """F-13: catches a stake that counts though the chain says no, and a refusal for ever."""
    ctx, peers = alone()
    hear(ctx, peers, ping())
    answered(ctx, peers, verdict)
    assert ctx.state("ping", PEER) == "refused"
    assert ctx.tables.view.providers["stake"](ME, PEER) == f"stake_{verdict}"
    assert peers.stake_fault(PEER) == f"its stake is refused ({verdict}): mend its stake"
    assert [note["reason"] for note in notes(ctx, "stake.refused")] == [verdict]
    hear(ctx, peers, ping(MS + 1))
    assert ctx.state("ping", PEER) == "checking"
    answered(ctx, peers)
    assert peers.is_listed(PEER)
    assert peers.stake_fault(PEER) is None


def test_an_answer_about_another_stake_or_peer_moves_nothing() -> None:
    """Catches an answer that is late, and lists a peer for a stake that it shows no more."""
    ctx, peers = alone()
    hear(ctx, peers, ping())
    answered(ctx, peers, stake=Outpoint(b"o" * 32, 0))
    answered(ctx, peers, peer=THIRD)
    assert ctx.state("ping", PEER) == "checking"
    assert not ctx.tables.effects.trace[3:]
    assert not ctx.tries("ping.Stake", q=THIRD)
    assert ctx.tables.view.providers["stake"](ME, PEER) == "stake_unconfirmed"


def test_an_unanswered_question_is_asked_again() -> None:
    """Catches a peer that is never listed because the daemon was away when it came."""
    ctx, peers = alone()
    hear(ctx, peers, ping(MS), ping(MS + 1), after=PRESET.stake_query_s - 1)
    assert len(ctx.tables.effects.requests) == 1
    hear(ctx, peers, ping(MS + 2), after=2.0)
    assert len(ctx.tables.effects.requests) == 2


REFUSED = {
    "the same again": [ping(), ping()],
    "an older one": [ping(), ping(MS - 1)],
    "from the past": [evolve(ping(), time_ms=MS - int(PRESET.clock_skew_s * 1000) - 1)],
    "from the future": [evolve(ping(), time_ms=MS + int(PRESET.clock_skew_s * 1000) + 1)],
}


@pytest.mark.parametrize("pings", REFUSED.values(), ids=REFUSED.keys())
def test_an_old_ping_and_one_far_from_now_are_refused(pings: Sequence[m.Ping]) -> None:
    """F-13: catches a replay that keeps a dead node in the list, or a ping that outbids all."""
    ctx, peers = alone()
    hear(ctx, peers, *pings)
    assert len(notes(ctx, "ping.refused")) == 1
    good = [line for line in ctx.tables.effects.trace if line["table"] == "ping"]
    assert len(good) == len(pings) - 1


KEY = epoch()
PEERS_SHARE = epoch(place=1)
BAD_PROOFS = {
    "none": None,
    "garbage": bytes(65),
    "of another ping": ping(MS + 1, key=PEERS_SHARE).share_proof,
    "of another peer": ping(key=epoch(place=2), place=2).share_proof,
}


@pytest.mark.parametrize("proof", BAD_PROOFS.values(), ids=BAD_PROOFS.keys())
def test_a_holders_ping_needs_its_own_fresh_share_proof(proof: bytes | None) -> None:
    """F-10, F-13: catches a proof that is bound to nobody, or to no sequence number."""
    ctx, peers = alone(KEY)
    hear(ctx, peers, evolve(ping(key=PEERS_SHARE), share_proof=proof))
    assert PEER not in peers.heard
    hear(ctx, peers, ping(key=PEERS_SHARE))
    assert PEER in peers.heard


@pytest.mark.parametrize("key_id", [None, bytes(32)])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_holder_that_never_proves_its_share_is_not_listed_and_still_heard(
    key_id: bytes | None, number: int
) -> None:
    """F-13: catches a holder that is listed though nobody knows whether it has its share, or has
    named an epoch in which it had none; and one that counts as silent, and is replaced for it.
    """
    ctx, peers = alone(KEY)
    ctx.epochs[3] = evolve(epoch(3), members=epoch(3).members[2:])
    shown = evolve(ping(), key_id=key_id, key_epoch=number, health="no_share")
    hear(ctx, peers, shown)
    assert PEER not in peers.heard
    assert peers.presence[PEER] == (NOW, STAKE)
    assert len(notes(ctx, "ping.refused")) == 1
    stranger = IDENTITIES[5].node_id
    hear(ctx, peers, shown, place=5)
    assert peers.heard[stranger].health == "no_share", "who holds none needs no proof"


def test_a_false_proof_is_no_presence() -> None:
    """Catches a liar that counts as present with a proof that it made up."""
    ctx, peers = alone(KEY)
    hear(ctx, peers, evolve(ping(key=PEERS_SHARE), share_proof=bytes(65)))
    hear(ctx, peers, evolve(ping(), time_ms=MS - 10**6))
    assert PEER not in peers.presence


def test_a_holder_of_another_epoch_proves_the_share_that_it_has() -> None:
    """Catches a member that is missed because it learns of an epoch a little later."""
    ctx, peers = alone(epoch(5, seed=1))
    before = epoch(3, place=1)
    shown = ping(key=before)
    ctx.epochs[3] = epoch(3)
    hear(ctx, peers, evolve(shown, share_proof=bytes(65)))
    assert PEER not in peers.heard
    hear(ctx, peers, shown)
    assert PEER in peers.heard


def test_a_ping_is_sent_each_period_and_taken_as_those_of_others() -> None:
    """Catches a node that floods the network, falls silent, or does not count itself."""
    ctx, peers = alone(KEY)
    sent = []
    for _ in range(60):
        take_in(ctx, Tick(), *cores(peers), after=0.05)
        sent += [send.message for send in ctx.tables.take().sends]
    assert len(sent) == 3
    assert peers.heard[ME].sequence == sent[-1].sequence
    assert len({each.share_proof for each in sent}) == 3
    other, far = alone(KEY, now=ctx.now)
    take_in(other, received(sent[-1], place=0), *cores(far))
    assert ME in far.heard, "others find its proof good"


def test_the_sequence_grows_over_a_restart() -> None:
    """F-13: catches a restarted node whose pings are taken for replays."""
    found = []
    for now in (NOW, NOW + 1.0):
        ctx, peers = alone(now=now)
        take_in(ctx, Tick(), *cores(peers))
        found.append(ctx.tables.effects.sends[0].message.sequence)
    assert found == sorted(set(found))


def test_silence_makes_missing_and_suspect_and_a_ping_clears_both() -> None:
    """F-09, SuspectClears: catches a silence that is taken for guilt, or for nothing."""
    ctx, peers = listed(1)
    patience = PRESET.ping_period_s * PRESET.pings_missed_limit
    take_in(ctx, Tick(), *cores(peers))
    hear(ctx, peers, ping(MS + 1))
    answered(ctx, peers)
    ctx.now += patience
    assert not ctx.tries("ping.Silence", q=PEER)
    assert not ctx.tries("block_list.Silence", q=PEER)
    assert (ctx.state("ping", PEER), peers.blocks.standing(PEER)) == ("listed", "clear")
    take_in(ctx, Tick(), *cores(peers), after=0.1)
    assert (ctx.state("ping", PEER), peers.blocks.standing(PEER)) == ("missing", "suspect")
    hear(ctx, peers, ping(MS + 2))
    assert (ctx.state("ping", PEER), peers.blocks.standing(PEER)) == ("listed", "clear")


def test_nothing_but_a_good_ping_clears_a_suspect() -> None:
    """Catches a suspect that is cleared by a replay."""
    ctx, peers = listed(1)
    take_in(ctx, Tick(), *cores(peers), after=4.0)
    assert peers.blocks.standing(PEER) == "suspect"
    hear(ctx, peers, ping(MS - 1))
    assert peers.blocks.standing(PEER) == "suspect"
    assert not ctx.tries("block_list.GoodPing", q=PEER)


def test_the_list_is_cleared_at_each_boundary_and_at_no_other_time() -> None:
    """Catches an old entry that lives on after its node is gone, or a list that is never whole."""
    ctx, peers = listed(1, 2)
    ctx.use(KEY)
    take_in(ctx, Tick(), *cores(peers))
    hear(ctx, peers, ping(MS + 1, key=PEERS_SHARE), place=1)
    answered(ctx, peers)
    assert (ctx.state("ping", PEER), ctx.state("ping", THIRD)) == ("listed", "unlisted")
    take_in(ctx, Tick(), *cores(peers), after=0.05)
    assert peers.is_listed(PEER)
    assert {member.node_id for member in peers.staked()} == {PEER, THIRD}, "their stakes still hold"
    take_in(ctx, Tick(), *cores(peers), after=PRESET.round_period_s)
    assert not peers.is_listed(PEER)


def test_without_a_key_the_list_stays_and_the_stakes_are_asked_for_again() -> None:
    """Catches founders of whom one has just cleared its list, and refuses a set-up; and a founder
    that makes a key though its stake is gone.
    """
    ctx, peers = listed(1, 2)
    take_in(ctx, Tick(), *cores(peers), after=PRESET.round_period_s)
    hear(ctx, peers, evolve(ping(MS + 1), time_ms=int(ctx.now * 1000)))
    ctx.tables.take()
    take_in(ctx, Tick(), *cores(peers), after=PRESET.round_period_s)
    assert ctx.tables.effects.requests == [CheckStake(PEER, STAKE), CheckStake(THIRD, STAKE)]
    assert peers.is_listed(PEER)
    answered(ctx, peers)
    answered(ctx, peers, "spent", peer=THIRD)
    assert [member.node_id for member in peers.members()] == [PEER]
    assert ctx.state("ping", THIRD) == "refused"
    assert peers.stake_fault(THIRD) == "its stake is refused (spent): mend its stake"


def test_members_stand_by_the_age_of_their_stakes() -> None:
    """Catches a seniority that two nodes see in two ways."""
    _, peers = listed(1, 2, 3)
    assert [member.height for member in peers.members()] == [97, 98, 99]


def test_a_blocked_peers_pings_count_for_its_presence() -> None:
    """Catches a block list that decides who is present, and so who gets a seat."""
    ctx, peers = alone()
    ctx.tables.view.put("standing", (ME, PEER), "blocked")
    hear(ctx, peers, ping())
    assert peers.presence == {PEER: (ctx.now, STAKE)}
    assert PEER not in peers.heard
    stale = evolve(ping(), time_ms=0)
    ctx.now += 5
    hear(ctx, peers, stale)
    assert peers.presence[PEER][0] == ctx.now - 5, "an old ping proves nothing"


def test_a_blocked_peers_pings_count_for_nothing() -> None:
    """F-08: catches a blocked peer that is listed."""
    ctx, peers = alone()
    ctx.tables.view.put("standing", (ME, PEER), "blocked")
    hear(ctx, peers, ping())
    assert PEER not in peers.heard


def test_endpoints_go_out_to_the_peer_and_come_in_to_the_shell() -> None:
    """Catches a keepalive to everybody, or one that nobody learns from."""
    ctx, peers = alone()
    take_in(ctx, Endpoints(PEER, ("1.2.3.4:5",), "9.9.9.9"), *cores(peers))
    (send,) = ctx.tables.take().sends
    assert (send.message, send.to) == (m.Keepalive(("1.2.3.4:5",), "9.9.9.9"), PEER)
    take_in(ctx, received(m.Keepalive(("5.6.7.8:9",), "8.8.8.8")), *cores(peers))
    assert ctx.tables.effects.requests == [LearnEndpoints(PEER, ("5.6.7.8:9",), "8.8.8.8")]


def test_a_ping_in_hand_is_not_taken_twice() -> None:
    """Catches a ping that is judged again under the next tick."""
    ctx, peers = alone()
    hear(ctx, peers, ping())
    take_in(ctx, Tick(), *cores(peers))
    assert not notes(ctx, "ping.refused")


def test_proofs_name_network_peer_and_sequence() -> None:
    """F-10: catches a share proof that fits another ping."""
    inputs = [(b"n" * 32, b"p" * 33, 1), (b"m" * 32, b"p" * 33, 1), (b"n" * 32, b"q" * 33, 1),
              (b"n" * 32, b"p" * 33, 2)]
    assert len({ping_proof_context(*one) for one in inputs}) == 4


def test_the_report_tells_the_operator_who_is_there() -> None:
    """Catches a status without a peer's standing."""
    ctx, peers = listed(1)
    ctx.links.add(PEER)
    (entry,) = peers.report()
    assert entry == {
        "node_id": PEER.hex(), "listing": "listed", "phase": "Idle", "health": "ok",
        "standing": "clear",
        "stake": str(STAKE), "last_ping_s": 0.0, "linked": True, "self": False,
    }
    assert "never pinged" in (peers.stake_fault(THIRD) or "")
