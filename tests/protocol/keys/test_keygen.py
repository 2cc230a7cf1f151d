"""Keys and their documents, and how four nodes make one and lock it in."""

from __future__ import annotations

from functools import lru_cache

import pytest
from attrs import evolve

from metanode.protocol.context import keygen_event
from metanode.protocol.inputs import LinkUp, Start
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.keys.keygen import keygen_document
from metanode.protocol.tables.effects import EraseShare, Watch
from metanode.tss.verify import verify_compact
from spec import messages as m
from tests.protocol.keys.support import Maker, Makers
from tests.protocol.support import NETWORK_ID, START, epoch_of, ids, members_of

MEMBERS = members_of(4)
SLOT = int(START) // 4


@lru_cache
def founded() -> Makers:
    """Return four nodes with a key in force; nobody changes them."""
    makers = Makers.of(keygen_until=int(START) + 3)
    makers.run(5.0)
    return makers


def test_the_document_of_a_key_generation_names_all_it_rests_on() -> None:
    """F-19: catches a threshold or a roster that two members understand differently."""
    base = keygen_document(NETWORK_ID, 7, MEMBERS, 3, 1)
    others = [
        keygen_document(bytes(32), 7, MEMBERS, 3, 1),
        keygen_document(NETWORK_ID, 8, MEMBERS, 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS[:3], 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS[::-1], 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS, 4, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS, 3, 0),
        keygen_document(NETWORK_ID, 7, (evolve(MEMBERS[0], height=9), *MEMBERS[1:]), 3, 1),
    ]
    assert len({base, *others}) == 8


def test_all_nodes_hold_one_key_with_different_shares() -> None:
    """Catches a key that differs between nodes, and a share that is not a share."""
    epochs = [maker.node.ctx.epoch for maker in founded().nodes]
    assert len({e.public_key for e in epochs}) == 1
    assert len({e.key_id for e in epochs}) == 1
    assert {e.roster for e in epochs} == {ids(4)}
    assert len({e.seniority for e in epochs}) == 1
    assert len({e.share.secret_share for e in epochs}) == 4
    for epoch in epochs:
        assert {epoch.public_share(p) for p in epoch.roster} == set(epoch.share.public_shares)


def test_the_lock_in_is_a_signature_of_the_key_over_its_own_name() -> None:
    """F-27: catches a lock-in that anyone could make, or that fits another key or network."""
    for maker in founded().nodes:
        announcement, key = maker.keygen.announcement, maker.node.ctx.epoch
        assert announcement is not None
        assert verify_compact(key.public_key, key.digest(NETWORK_ID), announcement.signature)
        assert not verify_compact(key.public_key, key.digest(bytes(32)), announcement.signature)
        assert {c.member for c in announcement.confirmations} == set(key.roster)


def test_a_node_restarts_with_its_key() -> None:
    """KeyAvailable: catches a share, or its lock-in, that does not come back from the disk."""
    before = founded().nodes[1]
    after = before.restarted()
    was, now = before.node.ctx.epoch, after.node.ctx.epoch
    assert now.encode() == was.encode()
    assert now.share.to_bytes() == was.share.to_bytes()
    assert after.keygen.announcement == before.keygen.announcement


def test_what_is_said_of_a_key_is_on_disk_first() -> None:
    """Catches a confirmation without the share, and a lock-in without its record."""
    wanted: dict[type, dict[str, type]] = {
        m.Confirmation: {"key_share": KeyEpoch},
        m.KeyLocked: {"key": m.KeyLocked, "signature_kept": m.SignatureFound},
    }
    for maker in founded().nodes:
        stored: dict[str, type] = {}
        said: set[type] = set()
        for effects in maker.node.taken:
            stored |= {w.cell: type(w.attachment) for w in effects.writes if w.attachment}
            for kind in {type(send.message) for send in effects.sends} & wanted.keys():
                assert wanted[kind].items() <= stored.items()
                said.add(kind)
        assert said == wanted.keys()


def test_the_address_is_hidden_until_the_key_is_locked_in() -> None:
    """F-27: catches deposits to a key that may never count."""
    makers = Makers.of(keygen_until=int(START) + 100)
    makers.run(2.0)
    assert sorted(makers.noted("keygen.certified")) == [0, 1, 2, 3]
    assert makers.with_key() == []


def test_nothing_is_generated_while_a_member_is_missing_or_after_the_lock_in() -> None:
    """Catches a key of three, and slots that go on for ever."""
    makers = Makers.of(keygen_until=int(START) + 3)
    for maker in makers.nodes:
        maker.peers.known = MEMBERS[:3]
    makers.run(4.0)
    assert not makers.sent
    for maker in makers.nodes:
        maker.peers.known = MEMBERS
    makers.run(6.0)
    assert makers.with_key() == [0, 1, 2, 3]
    asked = [message for _, message in makers.sent if isinstance(message, m.Setup)]
    makers.run(9.0)
    assert [message for _, message in makers.sent if isinstance(message, m.Setup)] == asked


def test_by_command_a_key_is_made_when_it_is_asked_for() -> None:
    """Catches a key that nobody asked for, and slots that go on although one counts."""
    makers = Makers.of(keygen="command", keygen_until=0)
    makers.run(4.0)
    assert not makers.sent
    for maker in makers.nodes:
        maker.asked.kinds.append("keygen")
    makers.run(8.0)
    assert makers.with_key() == [0, 1, 2, 3]
    assert len({m.key for _, m in makers.sent if hasattr(m, "key")}) == 1


@pytest.mark.parametrize("window", [True, False])
def test_older_keys_are_given_up_and_their_shares_erased(window: bool) -> None:
    """Catches shares that nobody erases, and one that is given up although fewer may count."""
    maker = Maker.at(0, keygen_until=int(START) + 99 * window)
    ctx = maker.node.ctx
    for slot in range(SLOT - 4, SLOT + 1):
        ctx.keys[slot] = evolve(epoch_of(1, 4, 3, 1), slot=slot)
        ctx.tables.view.put("key", (ctx.me, slot), "certified_by_all")
    ctx.tables.view.put("key", (ctx.me, SLOT), "stored")
    maker.keygen.confirmations.sign(ctx.keys[SLOT])
    for number in (1, 2, 3):
        assert maker.state(SLOT) == "stored"
        maker.node.receive(number, ctx.keys[SLOT].confirmation)
    assert maker.state(SLOT) == "certified_by_all"
    kept = range(SLOT - 2 if window else SLOT - 4, SLOT + 1)
    assert sorted(ctx.keys) == list(kept)
    erased = [each for each in maker.node.requests if isinstance(each, EraseShare)]
    assert len(erased) == 5 - len(kept)


def test_the_key_that_is_locked_in_stays_alone() -> None:
    """Catches a second key that waits for its day, and an address that nobody watches."""
    makers = Makers.of(keygen_until=int(START) + 6)
    makers.run(5.5)
    assert [sorted(maker.node.ctx.keys) for maker in makers.nodes] == [[SLOT, SLOT + 1]] * 4
    makers.run(3.0)
    assert makers.with_key() == [0, 1, 2, 3]
    for maker in makers.nodes:
        key = maker.node.ctx.epoch
        assert list(maker.node.ctx.keys) == [key.slot] == [SLOT + 1]
        assert (maker.state(SLOT), maker.state(SLOT + 1)) == ("abandoned", "locked_in")
        assert Watch(key.public_key) in maker.node.requests
        assert len([r for r in maker.node.requests if isinstance(r, EraseShare)]) == 1


def test_a_member_that_comes_up_is_shown_what_it_missed() -> None:
    """F-27: catches confirmations that were lost on the way and never told again."""
    makers = Makers.of(keygen_until=int(START) + 100)
    makers.change[0] = lambda to, message: (
        [] if to == 1 and isinstance(message, m.Confirmation) else [message]
    )
    makers.run(1.0)
    assert sorted(makers.noted("keygen.certified")) == [0, 2, 3]
    for peer in (0, 3):
        makers.nodes[2].node.take_in(LinkUp(ids(4)[peer]))
        makers.deliver()
        assert sorted(makers.noted("keygen.certified")) == [0, 2, 3]
    makers.nodes[2].node.take_in(LinkUp(ids(4)[1]))
    makers.deliver()
    assert sorted(makers.noted("keygen.certified")) == [0, 1, 2, 3]


@pytest.mark.parametrize("locked", [False, True])
def test_confirmations_are_shown_again_once_a_round_until_a_key_is_locked_in(locked: bool) -> None:
    """F-27: catches confirmations that nobody tells again, and words that never end."""
    makers = Makers.of(keygen_until=int(START) + 100 - 97 * locked)
    makers.run(5.0)
    assert makers.with_key() == ([0, 1, 2, 3] if locked else [])
    before = len([message for _, message in makers.sent if isinstance(message, m.Confirmations)])
    for maker in makers.nodes:
        maker.peers.known = ()
    makers.run(4.0)
    shown = len([message for _, message in makers.sent if isinstance(message, m.Confirmations)])
    assert shown - before == (0 if locked else 2 * 4 * len(makers.nodes[0].node.ctx.keys))


def test_a_holder_that_missed_the_lock_in_is_told_in_answer_to_its_ping() -> None:
    """KeyAvailable: catches a holder that never knows its key is in force, and a flood of that."""
    makers = Makers.of(keygen_until=int(START) + 3)
    makers.run(2.0)
    makers.change = {n: lambda to, message: [] if to == 2 else [message] for n in range(4)}
    makers.run(7.0)
    assert makers.with_key() == [0, 1, 3]
    makers.change.clear()
    stake = m.OutpointRef(bytes(32), 0)
    for epoch, told in ((1, 0), (0, 1), (0, 0)):
        ping = m.Ping(1, 1, "Idle", stake, None, None, epoch, "ok")
        makers.sent.clear()
        makers.nodes[0].node.receive(2, ping)
        makers.deliver()
        sent = [message for number, message in makers.sent if number == 0]
        assert [type(message) for message in sent] == [m.KeyLocked] * told
    assert makers.with_key() == [0, 1, 2, 3]


def test_a_lock_in_ends_the_key_generation_that_goes_on_here() -> None:
    """Catches a node that goes on making keys after one counts, because its window is longer."""
    makers = Makers.of(keygen_until=int(START) + 6)
    makers.run(5.5)
    makers.change = {n: lambda to, message: [] if to == 2 else [message] for n in range(4)}
    late, ctx = makers.nodes[2], makers.nodes[2].node.ctx
    ctx.settings = evolve(ctx.settings, keygen_until=int(START) + 100)
    makers.run(3.0)
    assert makers.with_key() == [0, 1, 3]
    assert ctx.state("peer") == "Keygen"
    makers.change.clear()
    ping = m.Ping(1, 1, "Idle", m.OutpointRef(bytes(32), 0), None, None, 0, "ok")
    assert makers.inject(2, ping, 0) is None
    assert makers.with_key() == [0, 1, 2, 3]
    assert ctx.state("peer") == "Idle"
    assert (late.state(SLOT), late.state(SLOT + 1)) == ("abandoned", "locked_in")


def test_a_key_generation_that_the_next_slot_finds_open_makes_room_for_another() -> None:
    """Catches a slot that is lost because the clock stood still while the one before was open."""
    makers = Makers.of(keygen_until=int(START) + 100)
    makers.change = {n: lambda _to, message: (
        [] if isinstance(message, m.Release) else [message]
    ) for n in range(4)}
    makers.run(1.0)
    maker = makers.nodes[1]
    assert (maker.state(SLOT), maker.node.ctx.state("peer")) == ("generating", "Keygen")
    while maker.node.ctx.keygen_slot() == SLOT:
        maker.node.ctx.now += 0.5
    maker.node.tick(maker.node.ctx.now)
    assert (maker.state(SLOT), maker.node.ctx.state("peer")) == ("abandoned", "Keygen")
    assert maker.book.status(keygen_event(NETWORK_ID, SLOT + 1)) != "UNKNOWN"


def test_a_key_generation_that_a_crash_cut_off_is_given_up() -> None:
    """Catches a slot that is being made for ever."""
    makers = Makers.of(keygen_until=int(START) + 100)
    makers.change = {n: lambda _to, message: (
        [] if isinstance(message, m.Release) else [message]
    ) for n in range(4)}
    makers.run(1.0)
    assert makers.nodes[1].state(SLOT) == "generating"
    again = makers.nodes[1].restarted()
    again.node.take_in(Start())
    assert again.state(SLOT) == "abandoned"
    assert again.book.status(keygen_event(NETWORK_ID, SLOT)) == "PENDING"


def test_who_joins_knows_the_key_by_its_operator() -> None:
    """Catches a newcomer that believes in another key, or in its own network's any key."""
    makers = founded()
    found = makers.nodes[0].book.found[makers.nodes[0].keygen.lock_in]
    key = makers.nodes[0].node.ctx.epoch
    for joins, knows in ((key.public_key, True), (b"\x02" + bytes(32), False), (None, False)):
        maker = Makers.of(joins=joins).nodes[0]
        maker.node.receive(2, found)
        assert (maker.node.ctx.key is not None) == knows
        assert not maker.node.ctx.holds_share
