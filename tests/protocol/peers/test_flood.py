"""What is passed on, to whom, and what rubbish costs: one holder, its peers, no network."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import Malformed
from metanode.identity import Identity
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purposes
from metanode.protocol.inputs import Received
from metanode.protocol.node import NodeCore
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.flood import DuplicateFilter, Flood
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.tables.effects import PassOn
from metanode.protocol.wire.envelope import parse_envelope, seal
from spec import messages as m
from spec.inputs import PASSED_ON
from tests.protocol.peers.support import FOURTH, PEER, THIRD, context, epoch, received, stakes_of
from tests.protocol.support import CODEC, IDENTITIES, NETWORK_ID
from tests.simulation.hostile import MIDDLE, OLDEST
from tests.simulation.simulator import NETWORK_ID as SIMULATED
from tests.simulation.simulator import Simulation, with_key
from tests.support import entropy

OBSERVERS = tuple(identity.node_id for identity in IDENTITIES[5:8])


def flood(**preset: float) -> Flood:
    """Return the floods of a holder that is linked with all holders and three observers."""
    ctx = context(key=epoch())
    ctx.settings = evolve(ctx.settings, preset=evolve(ctx.preset, **preset))
    ctx.links |= {PEER, THIRD, FOURTH, *OBSERVERS}
    peers = PeerList(ctx, BlockList(ctx), stakes_of(ctx))
    return Flood(ctx, EventBook(ctx, Purposes(ctx)), peers)


def sighting(number: int, place: int = 1, via: bytes | None = None) -> Received:
    """Return a sighting as the node at a place has signed it."""
    entry = received(m.Publish((m.OutpointRef(bytes(32), number),)), place)
    entry.via = via
    return entry


def passed_on(core: Flood) -> list[tuple[bytes, ...]]:
    """Return to whom something was passed on."""
    asked, core.ctx.tables.effects.requests = core.ctx.tables.effects.requests, []
    return [each.to for each in asked if isinstance(each, PassOn)]


def test_a_holder_passes_on_to_those_that_hold_no_share() -> None:
    """Catches sixty holders that tell each other everything sixty times, and an echo."""
    core = flood()
    core.took(sighting(1), counted=True)
    assert passed_on(core) == [tuple(sorted(OBSERVERS))]
    core.took(sighting(2, via=OBSERVERS[0]), counted=True)
    assert passed_on(core) == [tuple(sorted(OBSERVERS[1:]))]


def test_an_observer_passes_on_to_all_but_signer_and_relayer() -> None:
    """Catches observers that keep what they hear to themselves."""
    core = flood()
    core.ctx.use(evolve(epoch(), members=epoch().members[1:]))
    core.took(sighting(1, via=THIRD), counted=True)
    assert passed_on(core) == [tuple(sorted({FOURTH, *OBSERVERS}))]


def test_what_is_no_news_goes_no_further() -> None:
    """Catches a replay that every peer repeats, and a round's messages flooded to all."""
    core = flood()
    core.took(sighting(1), counted=False)
    offer = m.Offer(core.ctx.round_number(), 1, bytes(32), 1, ())
    core.took(received(offer), counted=True)
    stale = m.Ping(1, 1, "Idle", m.OutpointRef(bytes(32), 0), None, None, 0, "ok")
    core.took(received(stale), counted=True)
    unknown = m.SignatureFound(bytes(32), bytes(32), b"", (), ())
    core.took(received(unknown), counted=True)
    assert passed_on(core) == []
    assert "offer" not in PASSED_ON


def test_an_envelope_is_taken_from_others_once() -> None:
    """Catches a loop, and an own message that comes back."""
    core, entry = flood(), sighting(1)
    assert core.expects(entry.envelope, OBSERVERS[0])
    core.took(entry, counted=True)
    assert not core.expects(entry.envelope, OBSERVERS[1])
    assert not core.expects(sighting(2, place=0).envelope, OBSERVERS[1])


def test_a_relayer_of_rubbish_is_not_heard_for_the_round() -> None:
    """Catches signatures that are checked without end, for a peer that replays old envelopes."""
    core = flood(flood_wasted=3)
    for number in range(3):
        assert core.expects(sighting(number).envelope, OBSERVERS[0])
        core.took(sighting(number, via=OBSERVERS[0]), counted=False)
    assert not core.expects(sighting(9).envelope, OBSERVERS[0])
    assert core.expects(sighting(9).envelope, OBSERVERS[1])
    core.ctx.now += core.ctx.preset.round_period_s
    assert core.expects(sighting(9).envelope, OBSERVERS[0])


def test_a_signer_cannot_have_all_repeat_what_it_says() -> None:
    """Catches a holder that floods the network through everybody else."""
    core = flood(flood_signer=2)
    for number in range(5):
        core.took(sighting(number), counted=True)
    core.took(sighting(7, place=2), counted=True)
    assert len(passed_on(core)) == 3


def test_few_strangers_are_taken_from_one_relayer() -> None:
    """Catches made-up identities without number, each with a question for the chain."""
    core = flood(flood_strangers=2)
    strangers = [Identity.generate(entropy(f"stranger {number}")) for number in range(4)]
    ping = m.Ping(1, 1, "Idle", m.OutpointRef(bytes(32), 0), None, None, 0, "ok")
    frames = [seal(each, NETWORK_ID, CODEC, ping) for each in strangers]
    taken = [core.expects(parse_envelope(frame), OBSERVERS[0]) for frame in frames]
    assert taken == [True, True, False, False]


def test_the_duplicate_filter_forgets_and_is_bounded() -> None:
    """Catches a filter that grows, that never forgets, or that a clock set back stops."""
    found = DuplicateFilter(memory_s=60.0, entries=3)
    for number in range(5):
        found.note(bytes([number]), float(number))
    assert len(found) == 3
    assert not found.has(b"\x01", 5.0)
    assert found.has(b"\x04", 63.0)
    assert not found.has(b"\x04", 64.0)
    found.note(b"new", -1000.0)
    assert len(found) == 1


# --- frames at a whole node ---


def holder() -> tuple[Simulation, NodeCore, bytes]:
    """Return a network with a key, a holder of it, and a peer of it that holds no share."""
    sim = with_key(5)
    core = sim.core(MIDDLE)
    core.on_link(sim.now, OBSERVERS[0], up=True)
    core.take()
    return sim, core, OBSERVERS[0]


def test_a_ping_that_is_passed_on_counts_as_its_signers() -> None:
    """Catches a peer far away that is never listed, or its relayer listed in its place."""
    sim, core, observer = holder()
    other = sim.core(OLDEST)
    other.on_tick(sim.now + 10)
    ping = next(s.message for s in other.take().sends if isinstance(s.message, m.Ping))
    frame = seal(sim.nodes[OLDEST].identity, SIMULATED, core.codec, ping)
    core.on_frame(sim.now + 10, frame, observer)
    heard = core.peers.heard[sim.nodes[OLDEST].node_id]
    assert (heard.sequence, heard.relayed) == (ping.sequence, True)
    assert observer not in core.peers.heard
    core.take()
    core.on_frame(sim.now + 10, frame, observer)
    assert core.take().trace == []


def test_who_passes_on_what_it_must_not_is_at_fault_itself() -> None:
    """Catches a liar that makes a node close the link of another, by passing on rubbish."""
    sim, core, observer = holder()
    signer = sim.nodes[OLDEST].identity
    number = core.ctx.round_number()
    offer = seal(signer, SIMULATED, core.codec, m.Offer(number, 1, bytes(32), 1, ()))
    ping = m.Ping(1, 1, "Idle", m.OutpointRef(bytes(32), 0), None, None, 0, "ok")
    forged = seal(signer, bytes(32), core.codec, ping)
    for frame, reason in ((offer, "another sender"), (forged, "signature is wrong")):
        with pytest.raises(Malformed, match=reason) as refused:
            core.on_frame(sim.now, frame, observer)
        assert refused.value.culprits() == (observer,)
