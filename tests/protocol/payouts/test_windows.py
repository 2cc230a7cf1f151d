"""Windows: which part is next, which locks count, which coins are taken."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.payout import PayoutDocument, payout_event
from metanode.protocol.payouts.windows import turn_of
from spec import messages as m
from tests.custody.support import KEY_ID, ident
from tests.protocol.rounds.support import IDS, ME, NETWORK_ID, ROUND, Holder, deposit


def waiting(*names: str, confirmations: int = 1) -> Holder:
    """Return a node with a chain on which deposits wait."""
    node = Holder.make(confirmations)
    for _ in range(3):
        node.mine()
    node.mine(*names)
    for _ in range(confirmations - 1):
        node.mine()
    return node


def built(node: Holder, *places: int) -> PayoutDocument:
    """Return the next payout of the deposits at some places of the block."""
    some = [node.candidates.eligible()[place] for place in places]
    cutoff = node.candidates.cutoff()
    assert cutoff is not None
    document = node.candidates._build(cutoff.snapshot.height, 0, some, 0)
    assert document is not None
    return document


def lock(node: Holder, document: PayoutDocument, attempt: int = ROUND - 1) -> m.LockedCandidate:
    """Return a lock on a document."""
    certificate = node.certificate((0, 1, 2), document.event, document.digest, attempt)
    return m.LockedCandidate(document.encode(), certificate)


def locked(node: Holder, document: PayoutDocument, attempt: int = ROUND - 1) -> None:
    """Let the node be locked on a document."""
    node.book.restore([lock(node, document, attempt)], [])
    node.ctx.tables.view.put("status", (IDS[ME], document.event), "PENDING")


def test_a_turn_is_the_first_ones_in_every_other_round() -> None:
    """Catches a choice that never has its turn, or a first one that always waits."""
    assert [turn_of(number, 3) for number in range(8)] == [0, 0, 1, 0, 2, 0, 0, 0]
    assert turn_of(4, 0) == 0


def test_parts_follow_each_other_as_they_are_signed() -> None:
    """NoInputTwice: catches a second document of a signed part, or a part that is left out."""
    node = waiting("a", "b", "c")
    windows = node.windows
    assert windows.event(0, 0) == payout_event(NETWORK_ID, node.ctx.epoch.key_id, 0, 0)
    parts = []
    for _ in range(3):
        document = built(node, 0)
        assert document.part == windows.next_part(0)
        parts.append(document)
        node.hear(1, node.signatures(document))
    assert [document.part for document in parts] == [0, 1, 2]
    assert windows.next_part(0) == 3
    assert windows.next_part(1) == 0
    assert windows.taken() == {o for document in parts for o in document.inputs}


def test_the_coins_of_a_dead_payout_are_free_and_of_a_final_one_spent() -> None:
    """Catches a deposit that is never paid because a dead payout names it."""
    node = waiting("a", "b", confirmations=2)
    document = built(node, 0, 1)
    node.hear(1, node.signatures(document))
    assert node.windows.taken() == set(document.inputs)
    node.mine(spends=[(document.inputs[0], ident("thief"))])
    assert not node.windows.is_dead(document), "the block may still go"
    node.mine()
    assert node.windows.is_dead(document)
    assert node.windows.taken() == set()
    assert [t.deposit.outpoint for t in node.candidates.eligible()] == [document.inputs[1]]
    assert built(node, 0).part == 1


def test_a_payout_is_not_dead_before_its_blocks_are_read() -> None:
    """Catches a payout given up because this node's chain is behind, or is read anew."""
    ahead = waiting("a")
    document = built(ahead, 0)
    node = Holder.make()
    for block in ahead.blocks[:-1]:
        node.news(block)
        assert not node.windows.is_dead(document)
    node.news(ahead.blocks[-1])
    assert not node.windows.is_dead(document)
    assert node.windows.mined_at(document) is None
    node.mine(spends=[(o, document.txids[-1]) for o in document.inputs])
    assert node.windows.mined_at(document) == node.blocks[-1].height
    assert not node.windows.is_dead(document), "its own version spent them"


def test_the_newest_lock_comes_first_and_what_is_signed_is_no_lock() -> None:
    """SAFE-SIGN 4: catches a lock that is forgotten, or one that is tried after its payout."""
    node = waiting("a", "b")
    first, second = built(node, 0), built(node, 1)
    locked(node, first, ROUND - 3)
    shown = lock(node, second, ROUND - 1)
    assert list(node.windows.locks()) == [first]
    assert list(node.windows.locks([shown])) == [second, first]
    node.hear(1, node.signatures(first))
    assert list(node.windows.locks([shown])) == [], "both are the same part"


def test_every_lock_is_shown_sooner_or_later() -> None:
    """F-42: catches a dead lock that nobody hears of, so that its part stays open elsewhere."""
    node = waiting("a", "b")
    documents = [built(node, 0), evolve(built(node, 1), window=7)]
    for attempt, document in enumerate(documents):
        node.book.hold(document.event, lock(node, document, ROUND - 9 + attempt))
        node.book.know(document.event, "payout")
        node.ctx.tables.view.put("status", (IDS[ME], document.event), "PENDING")
    shown = [node.windows.lock_to_show(number) for number in range(1, 5)]
    assert [each.certificate.event for each in shown if each] == [
        documents[place].event for place in (1, 0, 1, 1)
    ]
    assert Holder.make().windows.lock_to_show(1) is None


def test_a_lock_that_others_show_closes_a_part_once_it_is_dead() -> None:
    """F-42: catches a node that goes on with a part which others cannot sign any more."""
    node = waiting("a", "b")
    document = built(node, 0, 1)
    node.windows.show(lock(node, document))
    node.windows.show(lock(node, document, ROUND - 5))
    assert node.windows.next_part(0) == 0
    gone = node.blocks[-1]
    node.news(node.block("b", branch="other", parent=node.blocks[-2]), gone=[gone])
    assert node.windows.next_part(0) == 1
    node.news(gone, gone=node.blocks[-1:])
    assert node.windows.next_part(0) == 0, "its coins are back"
    assert deposit("a", 103).outpoint in document.inputs
    assert node.ctx.epoch.key_id != KEY_ID
