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


def choose(node: Holder, heard: dict[bytes, m.Offer], locked: tuple = ()) -> bytes:
    """Return the encoded candidate of a node, or nothing."""
    document = node.candidates.choose(heard, locked)
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
    event, digest = decode_document(document).event, node.candidates.rebuild(document).digest
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


def test_a_locked_document_that_cannot_be_rebuilt_is_passed_over() -> None:
    """F-17: catches a document signed because others locked it, although this chain differs."""
    node, heard = waiting()
    whole = choose(node, heard)
    lock = lock_on(node, whole, 3)
    broken = evolve(lock, document=whole[:-1] + bytes([whole[-1] ^ 1]))
    assert choose(node, heard, (broken,)) == whole


def test_rebuild_needs_every_byte() -> None:
    """F-17: catches a payload that differs where only its envelope was compared."""
    node, heard = waiting()
    core, whole = node.candidates, choose(node, heard)
    assert core.rebuild(whole) is not None
    for position in range(0, len(whole), 7):
        changed = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        assert core.rebuild(changed) is None
    assert core.rebuild(b"") is None
    assert core.rebuild(whole + b"\0") is None


def test_a_spent_deposit_is_no_candidate_but_still_a_document() -> None:
    """Catches a second payout, and a late signature that cannot be checked any more."""
    node, heard = waiting("one")
    whole = choose(node, heard)
    assert node.candidates.rebuild(whole) is not None
    node.mine(spends=[(deposit("one", 103).outpoint, bytes(32))])
    assert node.candidates.eligible() == ()
    assert node.candidates.rebuild(whole) is None, "what was rebuilt once is not kept for ever"
    assert node.candidates.rebuild(whole, spent_too=True) is not None


def test_another_block_at_the_cut_off_is_another_document() -> None:
    """F-17: catches a document that is kept although its block has left the chain."""
    node, heard = waiting("one")
    whole, (gone,) = choose(node, heard), node.blocks[-1:]
    other = node.block("one", branch="other", parent=node.blocks[-2])
    node.news(other, gone=[gone])
    assert node.candidates.rebuild(whole) is None
    assert node.candidates.rebuild(whole, spent_too=True) is None


def test_documents_that_were_rebuilt_are_kept_in_bounded_room() -> None:
    """LimitsHeld: catches memory that grows with the documents that members show."""
    node, heard = waiting(*(f"deposit {number}" for number in range(8)))
    refs = heard[IDS[0]].transfers
    for bits in range(1, 256):
        chosen = tuple(ref for place, ref in enumerate(refs) if bits >> place & 1)
        some = {peer: evolve(o, transfers=chosen) for peer, o in heard.items()}
        assert node.candidates.rebuild(choose(node, some)) is not None
    assert len(node.candidates._rebuilt) <= 64


def test_a_node_without_a_chain_has_no_candidate() -> None:
    """Catches an index error, or a document from nothing, before the first block came."""
    node, _ = waiting()
    node.candidates.ledger = Ledger(node.ctx.settings.custody)
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
    node.blocks, node.candidates.ledger = [], Ledger(node.ctx.settings.custody)
    node.mine()
    assert node.sent(m.Publish)[0].seen == (outpoint_ref(seen),)


def test_a_block_that_went_before_the_index_was_started_again_is_news_still() -> None:
    """Catches a deposit that stays booked although its block has left the chain."""
    node, _ = waiting("one")
    assert "swap.Deposit" in node.rows()
    gone = node.blocks[-1]
    node.news(node.block(parent=node.block(branch="far", parent=gone)), gone=[gone])
    assert node.asked(Reindex)
    node.blocks, node.candidates.ledger = [], Ledger(node.ctx.settings.custody)
    node.mine()
    assert "swap.Removed" in node.rows()
    node.mine()
    assert "swap.Removed" not in node.rows()
