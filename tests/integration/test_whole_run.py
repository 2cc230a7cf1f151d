"""What remains after everything that the other tests did: the accounts, and the traces."""

from __future__ import annotations

from metanode.protocol.wire.envelope import seal
from metanode.runtime.store.trace import read_trace
from spec import messages as m
from tests.integration.attacker import CODEC, TARGET, member_gone_bad
from tests.integration.support import Live, metanode

TABLES = {"peer", "ping", "round", "keygen", "event", "payout", "session", "link", "swap"}


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


def test_the_traces_of_all_nodes_are_a_run_of_the_protocol(live: Live) -> None:
    """Catches a node that moves outside its tables, a gap, a chain that a restart has broken."""
    live.assert_legal()
    tables = set()
    for home in live.network.homes:
        records = list(read_trace(home.trace))
        assert records[0]["seq"] == 1
        tables |= {record.get("table") for record in records}
    assert tables >= TABLES


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
    def blocked() -> bool:
        now = live.status(TARGET)
        assert now is not None, "the node ended"
        return liar.identity.node_id.hex() in {entry["node_id"] for entry in now["blocked"]}

    assert not blocked(), "it is blocked for what it has said now"
    liar.on_a_link(*frames, ends=False, until=blocked)
    assert blocked()
    shown = metanode("peers", "--home", live.network.homes[TARGET].path)
    assert "  blocked: until " in shown.stdout
    made = live.deposit(3_000_000)
    payout = live.paid(made)
    assert liar.identity.node_id.hex() not in payout["signers"]
    [(spenders, received)] = live.accounts(made)
    assert (spenders, len(received)) == ([payout["txid"]], 1)
