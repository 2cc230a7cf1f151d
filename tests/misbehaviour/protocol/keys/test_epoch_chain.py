"""Successions that are none: unsigned, of another key, replayed; and nodes that nobody told."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import lock_in_event
from metanode.tss import curve
from spec import messages as m
from tests.simulation.epochs import draft_of, first_epoch, signed_by_the_key, succession
from tests.simulation.hostile import OLDEST, OUTSIDER, network
from tests.simulation.simulator import NETWORK_ID, Simulation

NEXT = 10**6
VICTIM = OUTSIDER
OTHER_KEY = 4711


def number_at(sim: Simulation, number: int = VICTIM) -> int | None:
    """Return the number of the epoch in force at a node."""
    key = sim.core(number).ctx.key
    return None if key is None else key.number


def joined(seed: int, pinned: bytes | None = None) -> Simulation:
    """Return a network with a joiner, number 4, who was told of this public key."""
    sim = network(seed, deposit=False, joiners=1)
    sim.nodes[4].settings = evolve(sim.nodes[4].settings, joins=pinned or sim.public_key)
    return sim


def stolen_name(sim: Simulation) -> m.SignatureFound:
    """Return a first epoch of another key, which its thief really signed."""
    key = first_epoch(sim)
    point = curve.encode_point(curve.generator_mult(OTHER_KEY))
    made = evolve(key, package=evolve(key.package, public_key=point))
    z = int.from_bytes(made.digest(NETWORK_ID), "big")
    nonce = 0xBAD
    r = curve.affine(curve.generator_mult(nonce))[0] % curve.ORDER
    s = curve.inverse(nonce) * (z + r * OTHER_KEY) % curve.ORDER
    rs = r.to_bytes(32, "big") + min(s, curve.ORDER - s).to_bytes(32, "big")
    event = lock_in_event(NETWORK_ID)
    digest = made.digest(NETWORK_ID)
    return m.SignatureFound(event, digest, made.encode(), (), (m.EcdsaSignature(rs),))


@pytest.mark.parametrize("fault", ["zero", "other", "another name", "document", "payout"])
def test_an_epoch_that_the_key_did_not_sign_is_not_believed(fault: str) -> None:
    """F-37: catches an epoch in force on one member's word, with holders that it chose."""
    sim = network(11, deposit=False)
    mine = draft_of(sim, NEXT, (OLDEST,), threshold=1, byzantine=0)
    real = succession(sim, draft_of(sim, NEXT + 1))
    change = {
        "zero": {"document": mine.encode(), "signatures": (m.EcdsaSignature(bytes(64)),)},
        "other": {"document": mine.encode()},
        "another name": {"document": mine.encode(), "digest": mine.digest(NETWORK_ID)},
        "document": {"document": draft_of(sim, NEXT).encode()},
        "payout": {"event": bytes(32)},
    }[fault]
    sim.inject(OLDEST, evolve(real, **change), VICTIM)
    sim.run(0.1)
    assert number_at(sim) == 1
    assert sim.nodes[VICTIM].disk.get("holding", sim.nodes[VICTIM].node_id, 1) == "active"
    assert not sim.refusals


def test_an_epoch_of_another_key_is_not_believed() -> None:
    """Catches a member of this key that a stranger's key leads away."""
    sim = network(12, deposit=False)
    sim.inject(OLDEST, stolen_name(sim), VICTIM)
    sim.run(0.1)
    assert sim.core(VICTIM).ctx.epoch.public_key == sim.public_key
    assert not sim.refusals


def test_an_old_succession_does_not_lead_back() -> None:
    """SAFE-SIGN: catches a node that goes back to shares that others have erased."""
    sim = network(13, deposit=False)
    first = draft_of(sim, NEXT, (0, 1, 2, 3))
    second = draft_of(sim, NEXT + 5, (0, 1, 2, 3), after=first)
    for epoch in (first, second):
        sim.inject(OLDEST, succession(sim, epoch), VICTIM)
    sim.run(0.05)
    assert number_at(sim) == NEXT + 5
    for epoch in (first, second):
        sim.inject(OLDEST, succession(sim, epoch), VICTIM)
    sim.run(0.05)
    assert number_at(sim) == NEXT + 5
    assert not sim.refusals


def test_a_member_whose_share_is_lost_goes_on_without_it() -> None:
    """Catches a node with a disk of last week that ends in an error at every tick."""
    sim = network(20, deposit=False)
    sim.inject(OLDEST, succession(sim, draft_of(sim, NEXT)), VICTIM)
    sim.run(0.5)
    core = sim.core(VICTIM)
    assert (core.ctx.epoch.number, core.ctx.holds_share) == (NEXT, False)
    assert sim.nodes[VICTIM].disk.get("holding", core.ctx.me, 1) == "active"
    assert sim.noted("epoch.share_lost", VICTIM)
    assert not sim.refusals


def test_a_joiner_is_not_led_back_either() -> None:
    """Catches a joiner that a replayed history takes from the newest epoch to an old one."""
    sim = joined(14)
    sim.start(4)
    sim.run(1.5)
    first = draft_of(sim, NEXT, (0, 1, 2, 3))
    second = draft_of(sim, NEXT + 5, (0, 1, 2, 3), after=first)
    for epoch in (second, first, second):
        sim.inject(OLDEST, succession(sim, epoch), 4)
    sim.run(0.1)
    assert number_at(sim, 4) == NEXT + 5
    sim.crash(4)
    sim.start(4)
    assert number_at(sim, 4) == NEXT + 5


def test_a_joiner_with_another_key_in_mind_stays_outside() -> None:
    """Catches a joiner that follows the wrong network's key, or the first one that it is shown."""
    sim = joined(15, curve.encode_point(curve.generator_mult(OTHER_KEY + 1)))
    sim.start(4)
    sim.run(1.5)
    for found in (succession(sim, draft_of(sim, NEXT)), stolen_name(sim)):
        sim.inject(OLDEST, found, 4)
    sim.run(6.0)
    assert number_at(sim, 4) is None
    assert not sim.refusals


def test_a_joiner_does_not_take_a_liars_key_for_the_one_it_wants() -> None:
    """Catches a pinned key that is compared with nothing."""
    sim = joined(16)
    sim.tamper[OLDEST] = lambda to, message: (
        [] if isinstance(message, m.SignatureFound | m.KeyLocked) else [message]
    )
    sim.start(4)
    sim.run(0.5)
    sim.inject(OLDEST, stolen_name(sim), 4)
    sim.run_until(lambda: number_at(sim, 4) == 1, 8.0, "the honest show it the right key")
    assert sim.core(4).ctx.epoch.public_key == sim.public_key


def test_signers_that_a_liar_makes_up_do_not_matter() -> None:
    """Catches a succession that is judged by who is said to have signed it."""
    sim = network(17, deposit=False)
    real = succession(sim, draft_of(sim, NEXT, (0, 1, 2), byzantine=0, threshold=3))
    stranger = b"\x02" + bytes(32)
    left_out = 3
    sim.inject((left_out + 1) % 4, evolve(real, signers=(stranger,) * 4), left_out)
    sim.run(0.1)
    assert number_at(sim, left_out) == NEXT
    assert not sim.core(left_out).ctx.holds_share
    assert not sim.refusals


def test_pings_of_one_that_is_always_behind_are_answered_now_and_then() -> None:
    """Catches a short ping that draws a long answer each time."""
    sim = network(18, deposit=False)
    found = succession(sim, draft_of(sim, NEXT, (0, 1, 2), byzantine=0, threshold=3))
    liar, victim = 0, 3
    sim.inject(liar, found, victim)
    sim.run(0.1)
    before = sim.sent.get("SignatureFound", 0)
    stake = sim.nodes[liar].settings.stake
    for sequence in range(50):
        ping = m.Ping(
            10**15 + sequence, int(sim.now * 1000), "Idle", m.OutpointRef(stake.txid, stake.index),
            None, None, 0, "ok",
        )
        sim.inject(liar, ping, victim)
    sim.run(0.2)
    assert sim.sent.get("SignatureFound", 0) - before <= 4


def test_a_signature_over_something_else_is_no_epoch() -> None:
    """Catches one digest for two purposes: a payout's signature that names an epoch."""
    sim = network(19, deposit=False)
    draft = draft_of(sim, NEXT)
    rs = signed_by_the_key(sim, draft.digest(bytes(32)))
    real = succession(sim, draft)
    sim.inject(OLDEST, evolve(real, signatures=(m.EcdsaSignature(rs),)), VICTIM)
    sim.run(0.1)
    assert number_at(sim) == 1
