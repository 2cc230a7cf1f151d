"""The candidate: a pure function of the offers and of the own ledger; and the news of the chain."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve

from metanode.chains.base import ChainUpdate
from metanode.custody.document import decode_document
from metanode.custody.ledger import Ledger
from metanode.custody.types import Outpoint
from metanode.errors import Malformed
from metanode.protocol import inputs
from metanode.protocol.context import outpoint_ref
from metanode.protocol.payouts.windows import DOCUMENTS_KEPT
from metanode.protocol.tables.effects import Reindex
from spec import messages as m
from tests.protocol.rounds.support import IDS, Holder, deposit

NAMES = ("one", "two", "three")


def waiting(*names: str) -> tuple[Holder, dict[bytes, m.Offer]]:
    """Return a node with confirmed deposits, and what each holder would offer."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.mine(*(names or NAMES))
    return node, {peer: node.offer_of(place) for place, peer in enumerate(IDS)}


def choose(
    node: Holder, heard: dict[bytes, m.Offer], locked: tuple = (), number: int = 1
) -> bytes:
    """Return the encoded candidate of a node, or nothing."""
    document = node.candidates.choose(number, heard, locked)
    return b"" if document is None else document.encode()


def test_equal_offers_give_equal_documents_at_every_node() -> None:
    """Catches a document that depends on who builds it, or on the order of the offers."""
    built = set()
    for _ in range(2):
        node, heard = waiting()
        built |= {choose(node, dict(order)) for order in itertools.permutations(heard.items())}
    assert len(built) == 1
    assert len(decode_document(built.pop()).transfers) == 3


def test_only_what_t_members_offer_is_paid() -> None:
    """Catches a transfer that fewer than t can validate: they would refuse to sign it."""
    node, heard = waiting()
    for peer in IDS[:2]:
        heard[peer] = evolve(heard[peer], transfers=heard[peer].transfers[1:])
    built = decode_document(choose(node, heard))
    assert len(built.transfers) == 2
    for peer in IDS[2:]:
        heard[peer] = evolve(heard[peer], transfers=heard[peer].transfers[:1])
    assert choose(node, heard) == b"", "no transfer has t offers"


def test_an_index_that_was_kept_is_taken_up_with_all_that_is_open() -> None:
    """Catches a deposit that a restart forgets, and one that counts as unseen because of it."""
    node, heard = waiting()
    ledger = node.candidates.ledger
    again = Holder.make()
    assert again.candidates.resume(ledger, node.candidates.seen_by(node.ctx.me))
    assert [made.outpoint for made in again.candidates.ripe] == [
        t.deposit.outpoint for t in node.candidates.eligible()
    ]
    assert again.candidates.eligible() == node.candidates.eligible() != ()
    assert choose(again, heard) == choose(node, heard) != b""
    again.put(inputs.ChainNews(ChainUpdate((), (), True), ()))
    told = [send.message for send in again.effects.sends if isinstance(send.message, m.Publish)]
    assert [len(message.seen) for message in told] == [3]
    fresh = Holder.make()
    assert not fresh.candidates.resume(Ledger(fresh.ctx.settings.custody), ())
    assert fresh.candidates.eligible() == ()


def test_a_sighting_is_forgotten_once_its_deposit_is_settled() -> None:
    """Catches room for sightings that fills with what is long paid, and one dropped too soon."""
    node, _ = waiting("one", "two")
    one, two = (t.deposit.outpoint for t in node.candidates.eligible())
    told = m.Publish((outpoint_ref(one), outpoint_ref(two)))
    node.hear(1, told)
    node.mine(spends=[(one, bytes(32))])
    for _ in range(node.ctx.settings.confirmations - 1):
        assert one in node.candidates.seen
        node.mine()
    assert set(node.candidates.seen) == {two}
    assert node.candidates.seen_by(node.ctx.me) == node.candidates.seen_by(IDS[1]) == [two]


def test_fewer_than_t_offers_are_no_candidate() -> None:
    """Catches a proposal in a minority partition."""
    node, heard = waiting()
    assert choose(node, dict(list(heard.items())[:2])) == b""


def test_the_cut_off_is_what_t_members_have() -> None:
    """Catches a document at a height that a quorum has not seen yet."""
    node, heard = waiting()
    tip = node.candidates.cutoff().snapshot.height
    heard[IDS[0]] = evolve(heard[IDS[0]], height=tip + 5)
    assert decode_document(choose(node, heard)).cutoff_height == tip
    for peer in IDS[:2]:
        heard[peer] = evolve(heard[peer], height=tip - 1)
    assert choose(node, heard) == b"", "the deposits are younger than that"


def test_a_transfer_named_twice_counts_once() -> None:
    """Catches one member whose offer counts for several."""
    node, heard = waiting("one")
    for peer in IDS[1:]:
        heard[peer] = evolve(heard[peer], transfers=())
    heard[IDS[0]] = evolve(heard[IDS[0]], transfers=heard[IDS[0]].transfers * 5)
    assert choose(node, heard) == b""


def lock_on(node: Holder, document: bytes, attempt: int) -> m.LockedCandidate:
    """Return a document with a certificate for it."""
    read = decode_document(document)
    event, digest = read.event, read.digest
    return m.LockedCandidate(document, node.certificate((0, 1, 2), event, digest, attempt))


def test_a_locked_document_goes_first_and_the_newest_of_several() -> None:
    """SAFE-SIGN 4: catches a fresh candidate proposed while a lock is open."""
    node, heard = waiting()
    whole = choose(node, heard)
    fewer = {peer: evolve(o, transfers=o.transfers[:1]) for peer, o in heard.items()}
    old = choose(node, fewer)
    assert old != whole
    locks = (lock_on(node, whole, 3), lock_on(node, old, 5))
    for order in (locks, locks[::-1]):
        assert choose(node, heard, order) == old
    assert choose(node, {}, locks[:1]) == whole, "no offers are needed for it"


def test_a_locked_document_that_is_none_is_passed_over() -> None:
    """F-17: catches a document that is taken unread because others are said to be locked on it."""
    node, heard = waiting()
    whole = choose(node, heard)
    lock = lock_on(node, whole, 3)
    for position in range(0, len(whole), 7):
        changed = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        assert choose(node, heard, (evolve(lock, document=changed),)) == whole
    assert len(node.windows._read) <= DOCUMENTS_KEPT


def test_a_spent_deposit_is_no_candidate_and_neither_is_a_lock_on_it() -> None:
    """Catches a second payout of a deposit, or a round that tries for ever what cannot be paid."""
    node, heard = waiting("one")
    lock = lock_on(node, choose(node, heard), 3)
    assert choose(node, {}, (lock,))
    node.mine(spends=[(deposit("one", 103).outpoint, bytes(32))])
    assert node.candidates.eligible() == ()
    assert choose(node, {}, (lock,)) == b""


def test_a_lock_outlives_the_block_at_which_it_was_built() -> None:
    """F-42: catches a lock that nobody can keep and that lets nobody sign anything else."""
    node, heard = waiting("one")
    node.mine()
    heard = {peer: node.offer_of(place) for place, peer in enumerate(IDS)}
    whole, (gone,) = choose(node, heard), node.blocks[-1:]
    node.news(node.block(branch="other", parent=node.blocks[-2]), gone=[gone])
    fresh = {peer: node.offer_of(place) for place, peer in enumerate(IDS)}
    assert choose(node, fresh) != whole, "nobody builds it any more"
    assert choose(node, fresh, (lock_on(node, whole, 3),)) == whole


def test_a_lock_whose_coins_have_left_the_chain_closes_its_part() -> None:
    """F-42: catches a window that is never paid again because of one lock that nobody can keep."""
    node, heard = waiting("one", "two")
    lock = lock_on(node, choose(node, heard), 3)
    (gone,) = node.blocks[-1:]
    node.news(node.block("two", branch="other", parent=node.blocks[-2]), gone=[gone])
    again = {peer: node.offer_of(place) for place, peer in enumerate(IDS)}
    assert decode_document(choose(node, again)).part == 0
    document = decode_document(choose(node, again, (lock,)))
    assert (document.part, len(document.transfers)) == (1, 1)
    assert document.event != lock.certificate.event


def many_windows() -> tuple[Holder, dict[bytes, m.Offer]]:
    """Return a node with deposits in two windows, and what each holder would offer."""
    node = Holder.make(payout_window_blocks=12)
    for _ in range(7):
        node.mine()
    node.mine("old")
    node.mine("new")
    custody = node.ctx.settings.custody
    assert [custody.window_of(height) for height in (107, 108)] == [8, 9]
    return node, {peer: node.offer_of(place) for place, peer in enumerate(IDS)}


def test_the_oldest_window_goes_first_and_each_has_its_turn() -> None:
    """Catches one window that comes to nothing, round after round, while another one waits."""
    node, heard = many_windows()
    windows = [decode_document(choose(node, heard, number=n)).window for n in range(1, 9)]
    assert windows == [8, 9, 8, 8, 8, 9, 8, 8]


def test_the_next_part_of_a_window_leaves_out_what_is_signed() -> None:
    """NoInputTwice: catches two payouts that are on their way at once and spend one deposit."""
    node, heard = waiting("one", "two", "three")
    few = {peer: evolve(o, transfers=o.transfers[:2]) for peer, o in heard.items()}
    first = decode_document(choose(node, few))
    node.hear(1, node.signatures(first))
    assert [t.deposit.outpoint for t in node.candidates.eligible()] == [
        deposit("three", 103, 3).outpoint
    ]
    second = decode_document(choose(node, heard))
    assert (first.part, second.part) == (0, 1)
    assert not set(first.inputs) & set(second.inputs)


def test_the_fee_floor_is_what_one_correct_daemon_demands() -> None:
    """Catches a liar who raises the fee of everybody, or one who lets a payout be refused."""
    node, heard = waiting("one")
    rates = dict(zip(IDS, (9_000, 7, 5, 1), strict=True))
    heard = {peer: evolve(offer, fee_floor=rates[peer]) for peer, offer in heard.items()}
    assert decode_document(choose(node, heard)).fee_rate == 7


def test_a_node_without_a_chain_has_no_candidate() -> None:
    """Catches an index error, or a document from nothing, before the first block came."""
    node, _ = waiting()
    node.windows.ledger = Ledger(node.ctx.settings.custody)
    assert node.candidates.cutoff() is None
    assert node.candidates.eligible() == ()


def test_garbage_is_no_document() -> None:
    """Catches an exception of another kind from the decoder."""
    with pytest.raises(Malformed):
        decode_document(b"\xff" * 40)


# --- the news of the chain ---


def test_what_was_seen_unconfirmed_is_told_once() -> None:
    """Catches a sighting that others never hear of, or hear of with every poll."""
    node, seen = Holder.make(), [Outpoint(number.to_bytes(32, "big"), 0) for number in range(300)]
    node.news(seen=seen)
    told = [ref for message in node.sent(m.Publish) for ref in message.seen]
    assert told == [outpoint_ref(outpoint) for outpoint in seen]
    node.news(seen=seen)
    assert not node.effects.sends


def test_a_peer_that_comes_up_is_told_what_was_seen() -> None:
    """Catches a node that was away and refuses a deposit that nobody vouches for any more."""
    node, seen = Holder.make(), [Outpoint(number.to_bytes(32, "big"), 0) for number in range(300)]
    node.put(inputs.LinkUp(IDS[1]))
    assert not node.effects.sends
    node.news(seen=seen)
    node.put(inputs.LinkUp(IDS[1]))
    (send,) = node.effects.sends
    assert send.to == IDS[1]
    assert send.message.seen == tuple(outpoint_ref(o) for o in seen[-m.TRANSFERS_LIMIT :])


def test_news_that_do_not_fit_start_the_index_again() -> None:
    """Catches an index that is wrong from then on, or a sighting that is lost with it."""
    node, _ = waiting()
    stranger = node.block(parent=node.block(branch="other"))
    seen = Outpoint(bytes([8]) * 32, 0)
    node.news(stranger, seen=[seen])
    assert node.asked(Reindex)
    assert node.notes() == ["chain.reindex"]
    assert not node.effects.trace
    node.blocks, node.windows.ledger = [], Ledger(node.ctx.settings.custody)
    node.mine()
    assert node.sent(m.Publish)[0].seen == (outpoint_ref(seen),)


def test_a_block_that_went_before_the_index_was_started_again_is_news_still() -> None:
    """Catches a deposit that stays booked although its block has left the chain."""
    node, _ = waiting("one")
    assert "swap.Deposit" in node.rows()
    gone = node.blocks[-1]
    node.news(node.block(parent=node.block(branch="far", parent=gone)), gone=[gone])
    assert node.asked(Reindex)
    node.blocks, node.windows.ledger = [], Ledger(node.ctx.settings.custody)
    node.mine()
    assert "swap.Removed" in node.rows()
    node.mine()
    assert "swap.Removed" not in node.rows()


def test_the_operator_sees_what_this_node_saw_and_no_block_has_yet() -> None:
    """Catches a sighting that stays when its deposit is in a block, and one that others made up."""
    node, _ = waiting("one")
    [mined] = (t.deposit.outpoint for t in node.candidates.eligible())
    fresh, made_up = Outpoint(bytes([8]) * 32, 1), Outpoint(bytes([9]) * 32, 0)
    node.candidates.note_seen(fresh, node.ctx.me)
    node.hear(1, m.Publish((outpoint_ref(fresh), outpoint_ref(made_up))))
    assert mined in node.candidates.seen_by(node.ctx.me)
    assert node.candidates.unconfirmed() == [{"outpoint": str(fresh), "witnesses": 2}]
