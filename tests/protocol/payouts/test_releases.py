"""Which coins a node lets its operator release: those that no round pays, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.custody.scripts import address_of, key_script
from metanode.errors import UserError
from metanode.protocol.payouts.releases import Releases
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.requests.requests import Requests
from tests.custody.support import HRP, coin, public
from tests.protocol.rounds.support import Holder, deposit

PAYEE = address_of(key_script(public("payee")), HRP)
HELD: dict[str, Any] = {"memo": b"pay:nonsense", "refund_script": None}
DUST: dict[str, Any] = {"amount": 9_999}


def releases_of(node: Holder) -> Releases:
    """Return the core under test, at a holder."""
    peers = PeerList(node.ctx, BlockList(node.ctx), node.candidates.stakes)
    requests = Requests(node.ctx, node.book, peers)
    return Releases(node.ctx, node.candidates, requests)


def at(confirmations: int = 1, blocks: int = 1, **asks: Any) -> tuple[Holder, Releases]:
    """Return a holder with a deposit "a" that ``blocks`` blocks have confirmed."""
    node = Holder.make(confirmations)
    for _ in range(3):
        node.mine()
    node.mine("a", **asks)
    for _ in range(blocks - 1):
        node.mine()
    return node, releases_of(node)


def wanted(*names: str, **changes: object) -> dict[str, object]:
    """Return a release of named deposits, as it is posted."""
    outpoints = [str(deposit(name, 103, 1).outpoint) for name in names or ("a",)]
    return {"outpoints": outpoints, "address": PAYEE, **changes}


@pytest.mark.parametrize("asks", [HELD, DUST])
def test_what_is_held_or_ignored_is_listed_and_released(asks: dict[str, Any]) -> None:
    """Catches money that nobody can get at."""
    node, releases = at(**asks)
    (listed,) = releases.held()["coins"]
    assert listed["outpoint"] == wanted()["outpoints"][0]  # type: ignore[index]
    assert listed["height"] == 103
    assert releases.held()["total"] == listed["amount"]
    release = releases.check(wanted())
    assert release.fee_rate == node.ctx.settings.custody.fee_rate_floor
    assert release == releases.check(wanted(fee_rate=1))
    assert releases.missing(release) == [0]
    shown = releases.describe(release)
    assert (shown["signed"], shown["raw"], shown["block"]) == (0, None, None)
    assert shown["paid"] + shown["fee"] == shown["amount"] == listed["amount"]


def test_what_a_round_pays_is_neither_listed_nor_released() -> None:
    """NoInputTwice: catches a release that pays a deposit a second time, at every stage of it."""
    node, releases = at()

    def refused(complaint: str) -> None:
        assert releases.held()["count"] == 0
        with pytest.raises(UserError, match=complaint):
            releases.check(wanted())

    refused("is paid by a round, without you")
    document = node.certified()
    refused("is in a payout that is agreed on")
    node.hear(1, node.signatures(document))
    refused("is in a payout that is signed")
    spends = [(outpoint, document.txids[0]) for outpoint in document.inputs]
    node.mine(spends=spends, change=[coin("change", height=104)])
    refused(f"is spent by {document.txids[0].hex()}")
    assert releases.held()["change_count"] == 1
    change = str(coin("change").outpoint)
    with pytest.raises(UserError, match="is change: the next payouts spend it"):
        releases.check({**wanted(), "outpoints": [change]})


def test_a_coin_in_a_signed_payout_stays_there_under_other_settings() -> None:
    """NoInputTwice: catches a node that releases what it has signed under earlier settings."""
    node, releases = at(amount=30_000)
    node.paid()
    object.__setattr__(node.ctx.settings.custody, "minimum_deposit", 50_000)
    assert releases.held()["count"] == 1
    with pytest.raises(UserError, match="is in a payout that is signed"):
        releases.check(wanted())


def test_only_what_is_settled_and_can_be_spent_is_released() -> None:
    """Catches a signature for coins that a reorganisation takes, or that no block may spend."""
    node, releases = at(confirmations=3, blocks=2, **HELD)
    with pytest.raises(UserError, match="has 2 of 3 confirmations: wait"):
        releases.check(wanted())
    node.mine()
    assert releases.check(wanted())
    _, releases = at(**HELD, matures=203)
    with pytest.raises(UserError, match="can be spent from block 203 on"):
        releases.check(wanted())


def test_a_coin_that_a_reorganisation_takes_is_unknown_until_it_comes_back() -> None:
    """Catches a release of what is in no chain, and one that a reorganisation changes."""
    node, releases = at(**HELD)
    before, block = releases.check(wanted()), node.blocks[-1]
    other = node.block(branch="b", parent=node.blocks[-2])
    node.news(other, gone=[block])
    with pytest.raises(UserError, match="is no coin of the custody in this node's chain"):
        releases.check(wanted())
    node.news(node.block("a", **HELD))
    assert releases.check(wanted()) == before


def test_its_own_spending_is_no_reason_to_refuse_a_release() -> None:
    """Catches an operator who cannot see that the release is done, or takes another for it."""
    node, releases = at(**HELD)
    release = releases.check(wanted())
    spent = release.transaction.inputs[0].outpoint
    node.mine(spends=[(spent, release.txid)])
    assert releases.check(wanted()) == release
    assert releases.describe(release)["block"] == 104
    assert releases.missing(release) == []
    with pytest.raises(UserError, match=f"is spent by {release.txid.hex()}"):
        releases.check(wanted(fee_rate=2))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "a release is an object of outpoints, address, fee_rate"),
        (wanted(memo="x"), "a release is an object of"),
        (wanted(fee_rate="1"), "a release is an object of"),
        (wanted(fee_rate=True), "a release is an object of"),
        (wanted(outpoints="ab:0"), "outpoints are a list of texts"),
        (wanted(outpoints=[1]), "outpoints are a list of texts"),
        (wanted(outpoints=[]), "a release has 1 to 32 outpoints"),
        (wanted(*("a" * 33)), "a release has 1 to 32 outpoints"),
        (wanted("a", "a"), "an outpoint is given twice"),
        (wanted(outpoints=["ab:0"]), "is not txid:index .*: copy it from `custody held`"),
        (wanted(outpoints=["ab" * 32 + f":{1 << 33}"]), "copy it from `custody held`"),
        (wanted("b"), "is no coin of the custody in this node's chain"),
    ],
)
def test_odd_wishes_are_refused(given: dict[str, object], complaint: str) -> None:
    """Catches a page that fails, or takes half of what it is told."""
    _, releases = at(**HELD)
    with pytest.raises(UserError, match=complaint):
        releases.check(given)


def test_the_list_is_bounded_and_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """LimitsHeld: catches a page as long as the dust that anybody sends."""
    monkeypatch.setattr("metanode.protocol.payouts.releases.SHOWN", 3)
    node = Holder.make()
    node.mine(*(f"deposit {number}" for number in range(5)), **DUST)
    found = releases_of(node).held()
    assert (len(found["coins"]), found["count"], found["total"]) == (3, 5, 5 * 9_999)


def test_without_a_key_there_is_nothing_to_release() -> None:
    """Catches a page that fails before there is a key."""
    releases = releases_of(Holder.make(holds=False))
    assert releases.held()["coins"] == []
    with pytest.raises(UserError, match="there is no key yet"):
        releases.check(wanted())
