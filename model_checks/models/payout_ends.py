"""Every deposit comes to its end, whatever becomes of one payout: refused, outbid, or dead.

One node follows what was signed. A payout takes the deposits that nothing live spends; it is signed
at several fees, its versions, here in the place of attempts. The world is as bad as it can be: a
depositor takes a deposit back by a reorganisation, and miners leave out what offers too little, for
ever. How a payout is signed is the matter of ``signing``; that two never spend one deposit, however
little nodes know of each other, that of ``payout_windows``.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_MINED = "any(mined[e, a] for a in Attempt)"
_OPEN = (
    "any(settlement[p, x] in (SIGNED, REFUSED, BROADCAST, REORGED) for p in Peer for x in Event)"
)
_EACH_NODE = "for p in Peer for e in Event"
_PAID = "all(gone[s] or any(deep[e] and spends[e, s] for e in Event) for s in Swap)"
_BOOKED = "settlement[p, e] != {0} and after(settlement[p, e]) == {0}"

NETWORK = Network(
    name="payout_ends",
    doc="payouts that are refused, outbid, mined, or lose an input",
    rows=(("payout", "*"),),
    honest="",
    crash=False,  # where a payout stands is on disk
    fair=tuple(
        f"payout.{event}"
        for event in (
            "Finish",
            "Accepted",
            "Refused",
            "Outbid",
            "Dropped",
            "Final",
            "Conflict",
            "Reorg", "Returned",
        )
    ),
    cells=(
        Cell("cheap", "bool", ("Attempt",), "False", "given", "no miner ever takes this version"),
        Cell("spends", "bool", ("Event", "Swap"), "False", "given", "e pays deposit s, from s"),
        Cell("signed", "bool", ("Event",), "False", "given", "all versions of e are signed"),
        Cell("sent", "bool", ("Event", "Attempt"), "False", "given", "a version left the node"),
        Cell("refused", "bool", ("Event",), "False", "given", "the daemon takes no version of it"),
        Cell("mined", "bool", ("Event", "Attempt"), "False", "given", "a block has this version"),
        Cell("deep", "bool", ("Event",), "False", "given", "that block is final"),
        Cell("undone", "bool", ("Event",), "False", "given", "its block left the chain just now"),
        Cell("gone", "bool", ("Swap",), "False", "given", "the depositor spent it elsewhere"),
    ),
    rigid=("cheap",),
    assume=("any(not cheap[a] for a in Attempt)",),
    definitions=(
        Definition(
            "dead(e: Event)",
            "any(spends[e, s] and (gone[s] or any(x != e and deep[x] and "
            "spends[x, s] for x in Event)) for s in Swap)",
            "an input has left the chain, or something final has spent it",
        ),
        Definition(
            "taken(s: Swap)",
            "any(mined[x, b] and spends[x, s] for x in Event for b in Attempt)",
            "a block has a payout of the deposit",
        ),
        Definition(
            "bound(e: Event, s: Swap)",
            "any(x != e and signed[x] and spends[x, s] and not dead(x) for x in Event)",
            "another payout that can be mined spends the deposit",
        ),
        Definition(
            "free(s: Swap)",
            "not gone[s] and not any(spends[x, s] and not dead(x) for x in Event)",
            "nothing live spends the deposit",
        ),
    ),
    given={
        "status[p, e]": "SUCCESS if signed[e] else PENDING",
        "on_chain[e]": "displaced if dead(e) else disconnected if undone[e] else "
        "final if deep[e] else "
        f"present if {_MINED} or "
        "any(sent[e, a] and not cheap[a] for a in Attempt) else rejected if refused[e] else "
        "unseen if not any(sent[e, a] for a in Attempt) else passed_over",
    },
    moves=(
        Move(
            "Take(e: Event, s: Swap)",
            ("not signed[e]", "free(s)"),
            {"spends[e, s]": "True"},
            "a round puts the deposit into the payout",
            fair=True,
        ),
        Move(
            "Drop(e: Event, s: Swap)",
            ("not signed[e]", "spends[e, s]"),
            {"spends[e, s]": "False"},
            "the round comes to nothing",
            fair=True,
        ),
        Move(
            "Sign(e: Event)",
            (
                "not signed[e]",
                "any(spends[e, s] for s in Swap)",
                "not dead(e)",
                "all(implies(spends[e, s], not bound(e, s)) for s in Swap)",
            ),
            {"signed[e]": "True"},
            "a round signs it",
            fair=True,
        ),
        Move(
            "Send(p: Peer, e: Event, a: Attempt)",
            (
                "settlement[p, e] in (SIGNED, REFUSED, REORGED)",
                "not sent[e, a] and not refused[e]",
                "all(sent[e, b] for b in Attempt if b < a)",
                "all(cheap[b] for b in Attempt if b < a)",
            ),
            {"sent[e, a]": "True"},
            "the version that is due",
            fair=True,
        ),
        Move(
            "Evict(e: Event, a: Attempt)",
            ("sent[e, a]", "not mined[e, a]", "not cheap[a]"),
            {"sent[e, a]": "False"},
            "the mempool forgets it",
        ),
        Move(
            "Refuse(e: Event)",
            ("signed[e]", "not refused[e]", "not any(sent[e, a] for a in Attempt)"),
            {"refused[e]": "True"},
            "the daemon refuses it, whatever the fee",
        ),
        Move("Relent(e: Event)", ("refused[e]",), {"refused[e]": "False"}, "it does no more",
             fair=True),
        Move(
            "Mine(e: Event, a: Attempt)",
            (
                "sent[e, a]",
                "not cheap[a]",
                "all(implies(spends[e, s], not gone[s] and not taken(s)) for s in Swap)",
            ),
            {"mined[e, a]": "True"},
            "a block takes it; each coin can be spent once",
            fair=True,
        ),
        Move(
            "Bury(e: Event)",
            (_MINED, "not deep[e]"),
            {"deep[e]": "True"},
            "blocks follow",
            fair=True,
        ),
        Move(
            "Undo(e: Event, a: Attempt)",
            ("mined[e, a]", "not deep[e]", "not undone[e]"),
            {"mined[e, a]": "False", "undone[e]": "True"},
            "a reorganisation takes its block away",
        ),
        Move(
            "Heard(e: Event)",
            ("undone[e]", "all(settlement[p, e] != BROADCAST for p in Peer)"),
            {"undone[e]": "False"},
            "the node has the news",
            fair=True,
        ),
        Move(
            "Reappear(s: Swap)",
            ("gone[s]",),
            {"gone[s]": "False"},
            "another reorganisation brings the deposit back",
        ),
        Move(
            "Vanish(s: Swap)",
            (
                "not gone[s]",
                "not any(mined[e, a] and spends[e, s] for e in Event for a in Attempt)",
            ),
            {"gone[s]": "True"},
            "a reorganisation, and the depositor spends it elsewhere",
        ),
    ),
    properties=(
        Property(
            "EveryDepositCanEnd",
            _PAID,
            "always_can",
            "whatever has happened, each deposit that is left can still be paid for good",
        ),
        Property(
            "OneVersionMined",
            "all(not (mined[e, a] and mined[x, b] and spends[e, s] and spends[x, s]) "
            "for s in Swap for e in Event for x in Event for a in Attempt for b in Attempt "
            "if e != x or a != b)",
            doc="of all versions of all payouts that pay one deposit, at most one is mined",
        ),
        Property(
            "EndIsTrue",
            f"all(implies(settlement[p, e] == COMPLETED, deep[e]) {_EACH_NODE})",
            doc="a payout that is booked as final is final",
        ),
        Property(
            "BookedWhenSigned",
            f"all(implies(settlement[p, e] != UNSIGNED, signed[e]) {_EACH_NODE})",
            doc="a node that brings a payout to the chain knows its signatures",
        ),
        Property(
            "BookedAsTheChainSays",
            f"all(implies({_BOOKED.format('BROADCAST')}, on_chain[e] in (present, final)) and "
            f"implies({_BOOKED.format('REVERTED')}, dead(e)) and "
            f"implies({_BOOKED.format('REORGED')}, undone[e]) and "
            f"implies({_BOOKED.format('REFUSED')}, on_chain[e] == rejected) "
            f"{_EACH_NODE})",
            "step",
            "a payout is on its way, given up, reorganised or refused when the chain says so",
        ),
        Property(
            "SentAgainForAReason",
            f"all(implies({_BOOKED.format('SIGNED')} and settlement[p, e] != UNSIGNED, "
            f"on_chain[e] in (unseen, rejected, passed_over)) {_EACH_NODE})",
            "step",
            "what the chain has is not sent again",
        ),
        Property("CanRevert", f"any(settlement[p, e] == REVERTED {_EACH_NODE})", "reachable"),
        Property(
            "CanOutbid",
            f"any(settlement[p, e] == COMPLETED and mined[e, a] and any(b < a for b in Attempt) "
            f"{_EACH_NODE} for a in Attempt)",
            "reachable",
            "a dearer version is the one that is mined",
        ),
        Property(
            "PaidBeside",
            "any(deep[e] and any(settlement[p, x] in (SIGNED, BROADCAST) and not dead(x) "
            "for p in Peer for x in Event if x != e) for e in Event)",
            "reachable",
            "one is paid while another one is on its way",
        ),
    ),
)

ENDS = evolve(
    NETWORK,
    name="payouts_end",
    doc="in the end each deposit is paid for good, once blocks stay and depositors let it be",
    disturbances=("Undo", "Reappear", "Vanish", "Evict", "Refuse"),
    moves=tuple(
        # Rounds take deposits and drop them again: one of those that could sign it does.
        evolve(move, fair="strong") if move.event.startswith("Sign") else move
        for move in NETWORK.moves
    ),
    properties=(
        Property(
            "EveryDepositEnds", _PAID, "liveness",
            "whatever has happened, each deposit that is left is paid for good",
        ),
    ),
)
ONE_AT_A_TIME = evolve(
    NETWORK,
    name="payout_one_at_a_time",
    doc="F-40: the next payout waits until the last one is final; only what another final"
    " transaction has spent is given up",
    given={
        **NETWORK.given,
        "on_chain[e]": f"final if deep[e] else present if {_MINED} or "
        "any(sent[e, a] and not cheap[a] for a in Attempt) else unseen",
    },
    rows=tuple(("payout", event) for event in ("Finish", "Accepted", "Dropped", "Reorg", "Final")),
    fair=tuple(f"payout.{event}" for event in ("Finish", "Accepted", "Dropped", "Reorg", "Final")),
    moves=tuple(
        evolve(move, only_if=(*move.only_if, f"not ({_OPEN})"))
        if move.event.startswith(("Take", "Sign"))
        else move
        for move in NETWORK.moves
    ),
    properties=tuple(
        each
        for each in NETWORK.properties
        if each.name not in ("CanRevert", "CanOutbid", "PaidBeside")
    ),
)
ONE_FEE = evolve(
    NETWORK,
    name="payout_one_fee",
    doc="F-41: a payout is signed at one fee",
    moves=tuple(
        evolve(move, only_if=(*move.only_if, "not any(b < a for b in Attempt)"))
        if move.event.startswith("Send")
        else move
        for move in NETWORK.moves
    ),
    properties=tuple(
        each for each in NETWORK.properties if each.name not in ("CanOutbid", "PaidBeside")
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK,
            {"Peer": 1, "Event": 3, "Swap": 2, "Attempt": 2},
            quorum(1, 0, 1),
            ("Event", "Swap"),
            pinned=Counts(
                distinct=465934, generated=3506579, depth=40, reached={"CanOutbid": 9, "CanRevert":
                5, "PaidBeside": 9},
            ),
        ),
        Case(
            ENDS, {"Peer": 1, "Event": 2, "Swap": 1, "Attempt": 2}, quorum(1, 0, 1),
            pinned=Counts(
                distinct=1024, generated=2759, depth=14,
            ),
        ),
        Case(
            ENDS, {"Peer": 1, "Event": 3, "Swap": 1, "Attempt": 2}, quorum(1, 0, 1), ("Event",),
            pinned=Counts(
                distinct=518, generated=1399, depth=14,
            ),
        ),
        Case(
            ONE_AT_A_TIME,
            {"Peer": 1, "Event": 3, "Swap": 2, "Attempt": 1},
            quorum(1, 0, 1),
            (),
            refuted=("EveryDepositCanEnd",),
            pinned=Counts(
                distinct=236224, generated=1596459, depth=35, violated={"EveryDepositCanEnd": 4},
                stuck={"EveryDepositCanEnd": 17280},
            ),
        ),
        Case(
            ONE_FEE,
            {"Peer": 1, "Event": 2, "Swap": 1, "Attempt": 2},
            quorum(1, 0, 1),
            (),
            refuted=("EveryDepositCanEnd",),
            pinned=Counts(
                distinct=402, generated=1151, depth=13, reached={"CanRevert": 5},
                violated={"EveryDepositCanEnd": 0}, stuck={"EveryDepositCanEnd": 25},
            ),
        ),
    ),
)
