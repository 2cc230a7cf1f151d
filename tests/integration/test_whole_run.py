"""What remains after everything that the other tests did: the accounts, and the traces."""

from __future__ import annotations

import json
from typing import Any

from metanode.protocol.envelope import seal
from metanode.runtime.trace import read_trace, trace_files, verify_trace
from spec import messages as m
from spec.protocol import PROTOCOL
from tests.integration.attacker import CODEC, TARGET, member_gone_bad
from tests.integration.support import Live, wait_until


def test_every_deposit_was_settled_exactly_once(live: Live) -> None:
    """Catches a double payout, or a loss, that no single test has looked for."""
    if not live.deposits:
        live.deposit(3_000_000)
    for made in live.deposits:
        live.paid(made)
    for made, (spenders, received) in zip(
        live.deposits, live.accounts(*live.deposits), strict=True
    ):
        assert (len(spenders), len(received)) == (1, 1), made


def test_the_traces_of_all_nodes_verify(live: Live) -> None:
    """Catches a gap, an edited line, or a chain that a crash or a restart has broken."""
    for home in live.network.homes:
        end = verify_trace(home.trace)
        assert end.seq > 50
        with open(trace_files(home.trace)[0], "rb") as stream:
            assert json.loads(stream.readline())["seq"] == 1


def fault_of(record: dict[str, Any]) -> str | None:
    """Return what is wrong with a transition's record, held against the tables, or None."""
    machine = PROTOCOL.machines.get(record["table"])
    if machine is None:
        return "no such table"
    rules = [
        rule
        for rule in machine.rules_for(record["from"], record["event"])
        if rule.number == record["row"] and rule.target == record["to"]
    ]
    if len(rules) != 1:
        return f"{len(rules)} rows fit"
    if set(record["parameters"]) != set(rules[0].parameters):
        return "other parameters than the row's"
    cells = {reference.partition("[")[0] for reference in record["reads"]}
    if not cells <= set(PROTOCOL.cells):
        return "a fact that is no cell"
    if rules[0].guards and not cells:
        return "a guard without a fact that it read"
    return None


def test_every_transition_in_the_traces_is_a_row_of_the_tables(live: Live) -> None:
    """Catches a node that moves outside its tables, or that cannot say why it moved."""
    tables = set()
    for home in live.network.homes:
        for record in read_trace(home.trace):
            if record["kind"] == "transition":
                tables.add(record["table"])
                assert fault_of(record) is None, record
    assert tables >= {
        "peer",
        "ping",
        "round",
        "keygen",
        "event",
        "payout",
        "session",
        "link",
        "swap",
    }


def test_a_record_that_is_no_row_is_noticed() -> None:
    """Catches a check of the traces that accepts anything."""
    rule = next(rule for rule in PROTOCOL.machines["event"].rules if rule.guards)
    record: dict[str, Any] = {
        "table": "event",
        "row": rule.number,
        "event": rule.event,
        "from": rule.source,
        "to": rule.target,
        "parameters": dict(rule.parameters),
        "reads": {"status[00, 00]": rule.source},
    }
    assert fault_of(record) is None
    for key, wrong in (
        ("table", "x"),
        ("row", 99),
        ("to", "x"),
        ("from", "x"),
        ("reads", {}),
        ("parameters", {}),
        ("reads", {"mood[00]": "good"}),
    ):
        assert fault_of({**record, key: wrong}) is not None


def test_a_member_that_contradicts_itself_is_blocked_and_the_others_go_on(live: Live) -> None:
    """Catches a node that ends when a member says two things in one round, or that believes it.

    The last test of a run: the member stays blocked for three days.
    """
    liar = member_gone_bad(live)
    status = live.status(TARGET)
    assert status is not None
    roster = tuple(bytes.fromhex(holder) for holder in status["key"]["roster"])
    number = status["round"] + 1
    frames = [
        seal(liar.identity, liar.network_id, CODEC, m.SigningSet(number, 1, roster[:count]))
        for count in (3, 4)
    ]
    liar.on_a_link(*frames, ends=False)

    def blocked() -> bool:
        now = live.status(TARGET)
        assert now is not None, "the node ended"
        return any(
            peer["node_id"] == liar.identity.node_id.hex() and peer["standing"] == "blocked"
            for peer in now["peers"]
        )

    wait_until("the liar on the block list", blocked, patience_s=10)
    made = live.deposit(3_000_000)
    payout = live.paid(made)
    assert liar.identity.node_id.hex() not in payout["signers"]
    [(spenders, received)] = live.accounts(made)
    assert (spenders, len(received)) == ([payout["txid"]], 1)
