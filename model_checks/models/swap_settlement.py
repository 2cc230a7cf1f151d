"""A deposit is paid or refunded, never both, and every node's book says which (SAFE-SIGN 6).

The swap table runs at every node. What decides between payout and refund is read from the chain,
so it is the same for all: the memo. What a node heard before that, a user's announcement and its
end, differs from node to node and must not matter (F-36). A payout, and a refund, needs T signers,
liars included; both spend the deposit itself, so the chain takes one of them. A reorganisation may
remove a deposit that was not settled, and bring it back.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell

_EVERYWHERE = "for p in Peer for s in Swap"
_SIGNERS = "count(p for p in Peer if faulty[p] or swap[p, s] == {state}) >= T"
_UNSPENT = "not paid[s] and not refunded[s]"
_DEPOSIT = (
    "spent if paid[s] or refunded[s] else no_deposit if not confirmed[s] else "
    "payable if {payable} else refundable"
)

_SETTLED = (
    "all(paid[s] or refunded[s] for s in Swap) and all(faulty[p] or "
    f"swap[p, s] in (none_yet, Completed, Refunded) {_EVERYWHERE})"
)

NETWORK = Network(
    name="swap_settlement",
    doc="deposits, payouts, refunds and the chain's reorganisations",
    rows=(("swap", "*"),),
    crash=False,  # the book is on disk
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p signs anything"),
        Cell("memo_valid", "bool", ("Swap",), "False", "given", "the memo names a payout address"),
        Cell("confirmed", "bool", ("Swap",), "False", "given", "chain: the deposit is deep enough"),
        Cell("paid", "bool", ("Swap",), "False", "given", "chain: the payout spent the deposit"),
        Cell("refunded", "bool", ("Swap",), "False", "given", "chain: the refund spent it"),
    ),
    rigid=("faulty", "memo_valid"),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={"deposit[s]": _DEPOSIT.format(payable="memo_valid[s]")},
    moves=(
        Move(
            "Confirm(s: Swap)", ("not confirmed[s]",), {"confirmed[s]": "True"},
            "a block has the deposit", fair=True,
        ),
        Move(
            "Reorganise(s: Swap)", ("confirmed[s]", _UNSPENT), {"confirmed[s]": "False"},
            "the block goes, and the deposit with it",
        ),
        Move(
            "Pay(s: Swap)", (_SIGNERS.format(state="PendingRelease"), "confirmed[s]", _UNSPENT),
            {"paid[s]": "True"}, "T sign; the deposit is spent once", fair=True,
        ),
        Move(
            "Refund(s: Swap)", (_SIGNERS.format(state="PendingRefund"), "confirmed[s]", _UNSPENT),
            {"refunded[s]": "True"}, "T sign; the deposit is spent once", fair=True,
        ),
    ),
    properties=(
        Property(
            "SwapExclusive",
            "all(not (paid[s] and refunded[s]) for s in Swap)",
            doc="no deposit is paid and refunded",
        ),
        Property(
            "BookIsTrue",
            "all(implies(swap[p, s] == Completed, paid[s]) and "
            f"implies(swap[p, s] == Refunded, refunded[s]) {_EVERYWHERE})",
            doc="Completed at a node means paid on the chain, Refunded means refunded",
        ),
        Property(
            "SettledForGood",
            "all(implies(swap[p, s] in (Completed, Refunded), after(swap[p, s]) == swap[p, s]) "
            f"{_EVERYWHERE})",
            "step",
            "Completed and Refunded have no way out",
        ),
        Property(
            "SwapCanSettle",
            _SETTLED,
            "always_can",
            "every deposit can still be settled, in every correct node's book that has it; who sees"
            " it when it is spent books nothing",
        ),
        Property("CanPay", f"any(swap[p, s] == Completed {_EVERYWHERE})", "reachable"),
        Property("CanRefund", f"any(swap[p, s] == Refunded {_EVERYWHERE})", "reachable"),
        Property(
            "LiarsSign",
            "any(paid[s] and count(p for p in Peer if not faulty[p] and "
            "swap[p, s] in (PendingRelease, Completed)) < T for s in Swap)",
            "reachable",
            "the adversary's power: its signature completes a payout",
        ),
    ),
)

SETTLES = evolve(
    NETWORK,
    name="swap_settles",
    doc="in the end every deposit is settled, once no block is undone any more",
    fair=("swap.Deposit", "swap.Settled", "swap.Removed"),
    disturbances=("Reorganise",),
    properties=(
        Property(
            "SwapSettles", _SETTLED, "liveness",
            "every deposit is paid or refunded, in every correct node's book that has it",
        ),
    ),
)
OTHER_COINS = evolve(
    NETWORK,
    name="swap_other_coins",
    doc="F-03: payout and refund spend whatever coins are at hand; the float comes and goes",
    cells=(*NETWORK.cells, Cell("float_enough", "bool", ("Swap",), "False", "given", "coins")),
    rows=(("swap", "Deposit"), ("swap", "Removed")),
    given={
        "deposit[s]": "no_deposit if not confirmed[s] else "
        "payable if memo_valid[s] and float_enough[s] else refundable",
    },
    moves=(
        *(
            evolve(move, only_if=tuple(text for text in move.only_if if text != _UNSPENT))
            for move in NETWORK.moves
        ),
        Move("Float(s: Swap)", ("not float_enough[s]",), {"float_enough[s]": "True"}, "coins come"),
        Move("Ebb(s: Swap)", ("float_enough[s]",), {"float_enough[s]": "False"}, "coins go"),
        *(
            Move(
                f"{state}(p: Peer, s: Swap)",
                ("not faulty[p]", f"swap[p, s] == {pending}", "paid[s] or refunded[s]"),
                {"swap[p, s]": state},
                "the row Settled, by whatever was spent",
                fair=True,
            )
            for pending, state in (("PendingRelease", "Completed"), ("PendingRefund", "Refunded"))
        ),
    ),
)
_BOOKS = "not faulty[p]", "swap[p, s] == none_yet", "deposit[s] == payable"
LATE_IS_REFUNDED = evolve(
    NETWORK,
    name="swap_late_is_refunded",
    doc="F-36: who has seen the request run out books the deposit as a refund, the others do not",
    rows=(("swap", "none_yet -Deposit-> PendingRefund"), ("swap", "Settled"), ("swap", "Removed")),
    cells=(
        *NETWORK.cells,
        Cell("cancelled", "bool", ("Peer", "Swap"), "False", "disk", "p has seen it run out"),
    ),
    moves=(
        *NETWORK.moves,
        Move(
            "Cancel(p: Peer, s: Swap)",
            ("not faulty[p]", "swap[p, s] == none_yet", "not cancelled[p, s]", "not confirmed[s]"),
            {"cancelled[p, s]": "True"},
            "p heard a request, and no deposit came in time",
        ),
        Move(
            "Deposit(p: Peer, s: Swap)", (*_BOOKS, "not cancelled[p, s]"),
            {"swap[p, s]": "PendingRelease"}, "the row, where no request has run out", fair=True,
        ),
        Move(
            "LateDeposit(p: Peer, s: Swap)", (*_BOOKS, "cancelled[p, s]"),
            {"swap[p, s]": "PendingRefund"}, "the published row, from Cancelled", fair=True,
        ),
    ),
)

LEMMAS = (
    Property(
        "PayoutHasMemo",
        "all(implies(swap[p, s] in (PendingRelease, Completed), memo_valid[s]) "
        "for p in Peer for s in Swap)",
        "lemma",
        "the memo on the chain decides, the same for all",
    ),
    Property(
        "RefundHasNone",
        "all(implies(swap[p, s] in (PendingRefund, Refunded), not memo_valid[s]) "
        "for p in Peer for s in Swap)",
        "lemma",
        "the memo on the chain decides, the same for all",
    ),
    Property(
        "PaidHasMemo",
        "all(implies(paid[s], memo_valid[s]) and implies(refunded[s], not memo_valid[s]) "
        "for s in Swap)",
        "lemma",
        "of T signers one is correct",
    ),
)
"""Why a node's book says what the chain did, for every n: SAFE-SIGN 6."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 4, "Swap": 1}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=68, generated=162, depth=11, reached={"CanPay": 5, "CanRefund": 5,
                "LiarsSign": 4},
            ),
        ),
        Case(
            NETWORK, {"Peer": 4, "Swap": 2}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=3764, generated=17040, depth=21, reached={"CanPay": 5, "CanRefund": 5,
                "LiarsSign": 4},
            ),
        ),
        Case(
            SETTLES, {"Peer": 4, "Swap": 2}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=7528, generated=36036, depth=22,
            ),
        ),
        Case(
            OTHER_COINS, {"Peer": 4, "Swap": 1}, quorum(4, 1, 3), EACH_PEER,
            refuted=("SwapExclusive",), whole=False,
            pinned=Counts(
                distinct=618, generated=2446, depth=12, reached={"CanPay": 6, "CanRefund": 5,
                "LiarsSign": 5}, violated={"BookIsTrue": 7, "SwapExclusive": 11},
            ),
        ),
        Case(
            LATE_IS_REFUNDED, {"Peer": 4, "Swap": 1}, quorum(4, 1, 3), EACH_PEER,
            refuted=("BookIsTrue", "SwapCanSettle"),
            pinned=Counts(
                distinct=409, generated=1061, depth=15, reached={"CanPay": 5, "CanRefund": 5,
                "LiarsSign": 4}, violated={"BookIsTrue": 7, "SwapCanSettle": 2},
                stuck={"SwapCanSettle": 18},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=55),),
    controls=(ProofCase(OTHER_COINS, LEMMAS, fails=("RefundHasNone / swap.Deposit#2",)),),
)
