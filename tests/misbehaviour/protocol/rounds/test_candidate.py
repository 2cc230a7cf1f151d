"""Offers crafted to choose, to empty or to split the candidate."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.protocol.rounds.candidate import SIGHTINGS_PER_WITNESS
from spec import messages as m
from tests.protocol.rounds.support import IDS, Holder

GHOST = m.OutpointRef(bytes([9]) * 32, 0)
LIAR = IDS[3]


def waiting() -> tuple[Holder, dict[bytes, m.Offer]]:
    """Return a node with two confirmed deposits, and the honest offers."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.mine("one", "two")
    return node, {peer: node.offer_of(place) for place, peer in enumerate(IDS)}


def count(node: Holder, heard: dict[bytes, m.Offer], locked: tuple = ()) -> int:
    """Return how many transfers the node would propose to pay."""
    document = node.candidates.choose(1, heard, locked)
    return 0 if document is None else len(document.transfers)


def test_f_members_cannot_bring_in_a_deposit_that_is_not_there() -> None:
    """Catches a transfer in the candidate that this node has not validated itself."""
    node, heard = waiting()
    for peer in heard:
        heard[peer] = evolve(heard[peer], transfers=(GHOST, *heard[peer].transfers))
    assert count(node, heard) == 2, "not even if all offer it"


def test_one_member_cannot_keep_a_deposit_out() -> None:
    """Catches censorship by one: t others who offer it are enough."""
    node, heard = waiting()
    heard[LIAR] = evolve(heard[LIAR], transfers=())
    assert count(node, heard) == 2
    del heard[LIAR]
    assert count(node, heard) == 2


def test_one_member_cannot_move_the_cut_off() -> None:
    """Catches a height from one offer: a payout at a block that others do not have, or too old."""
    node, heard = waiting()
    for height in (0, 2**32 - 1):
        changed = heard | {LIAR: evolve(heard[LIAR], height=height)}
        document = node.candidates.choose(1, changed, ())
        assert document is not None
        assert document.cutoff_height == heard[LIAR].height


def test_a_locked_document_for_nothing_real_is_passed_over() -> None:
    """F-17: catches a document that is signed because it is called locked."""
    node, heard = waiting()
    none = m.Certificate(1, bytes(32), 10**9, bytes(32), (), ())
    for octets in (b"", b"\x80", bytes(1000), b"\xff" * 100):
        assert count(node, heard, (m.LockedCandidate(octets, none),)) == 2


def test_sightings_of_one_witness_are_bounded_and_its_own() -> None:
    """Catches a flood of sightings that pushes out what honest witnesses saw."""
    node, _ = waiting()
    core, real = node.candidates, Outpoint(bytes([8]) * 32, 1)
    node.hear(1, m.Publish((m.OutpointRef(real.txid, real.index),)))
    for number in range(2 * SIGHTINGS_PER_WITNESS // 256):
        refs = (m.OutpointRef((256 * number + i).to_bytes(32, "big"), 0) for i in range(256))
        node.hear(3, m.Publish(tuple(refs)))
    assert len(core.seen_by(LIAR)) == SIGHTINGS_PER_WITNESS
    assert core.seen[real] == {IDS[1]}
    assert len(core.seen) <= SIGHTINGS_PER_WITNESS + 8


def test_one_members_word_does_not_make_a_deposit_seen() -> None:
    """Catches a deposit that f members alone vouch for: f + 1 must have seen it, or this node."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    block = node.block("unseen")
    (made,) = block.deposits
    node.news(block)
    told = m.Publish((m.OutpointRef(made.outpoint.txid, 0),))
    node.hear(3, told)
    node.hear(3, told)
    assert node.candidates.eligible() == ()
    node.hear(2, told)
    assert [t.deposit for t in node.candidates.eligible()] == [made]


def test_what_nobody_saw_counts_when_it_is_deep() -> None:
    """Catches a deposit that is never paid because it was mined at once."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.news(node.block("unseen"))
    deep = node.ctx.settings.confirmations * node.ctx.preset.unseen_depth_factor
    for _ in range(deep - 1):
        assert node.candidates.eligible() == ()
        node.mine()
    assert len(node.candidates.eligible()) == 1
