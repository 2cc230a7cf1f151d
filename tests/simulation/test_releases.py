"""Coins that no round pays, taken out by the operators: signed by t of them and taken once."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import UserError
from tests.simulation.asking import ask
from tests.simulation.releasing import PAYEE, mine, release, shown, wanted, with_dust
from tests.simulation.simulator import QUICK

ROUND_S = QUICK.round_period_s


def test_t_operators_take_out_what_no_round_pays() -> None:
    """Catches coins that stay for ever, a release that fewer than t sign, and one that no daemon
    takes; another deposit is paid meanwhile.
    """
    sim, outpoints = with_dust(1, 3_000, 4_000)
    given = wanted(outpoints)
    sim.deposit()
    sim.run(1.0)  # they see it before it is mined
    mine(sim)
    release(sim, (0, 2), given)
    sim.run(9 * ROUND_S)
    assert shown(sim, 0, given)["signed"] == 0, "two of four operators are too few"
    release(sim, (3,), {**given, "outpoints": outpoints[::-1]})
    signed = lambda: shown(sim, 0, given)["raw"] is not None  # noqa: E731 - a condition
    sim.run_until(signed, 9 * ROUND_S, "both inputs are signed")
    sim.crash(0)
    sim.start(0)
    sim.run(ROUND_S)
    whole = shown(sim, 0, given)
    raw, txid = bytes.fromhex(whole["raw"]), bytes.fromhex(whole["txid"])
    assert sim.nodes[0].chain.broadcast(raw, txid).result == "sent"
    mine(sim)
    assert sim.users.received(PAYEE) == [whole["paid"]]
    assert shown(sim, 0, given)["block"] is not None
    assert sim.core(0).releases.held()["count"] == 0
    sim.mine_every(0.7)
    sim.settle()
    assert not sim.faults
    assert not sim.refusals


def test_of_two_releases_of_one_coin_the_chain_takes_one() -> None:
    """NoInputTwice: catches a second release that pays again, whatever the operators have signed.
    """
    sim, outpoints = with_dust(2, 3_000)
    cheap, dear = wanted(outpoints), wanted(outpoints, fee_rate=2)
    release(sim, range(4), cheap)
    release(sim, range(4), dear)
    raws = lambda: [shown(sim, 0, given)["raw"] for given in (cheap, dear)]  # noqa: E731
    sim.run_until(lambda: None not in raws(), 9 * ROUND_S, "both are signed")
    (first, second), chain = map(bytes.fromhex, raws()), sim.nodes[0].chain
    txids = [bytes.fromhex(shown(sim, 0, given)["txid"]) for given in (cheap, dear)]
    assert chain.broadcast(first, txids[0]).result == "sent"
    mine(sim)
    assert chain.broadcast(second, txids[1]).result == "conflict"
    with pytest.raises(UserError, match=f"is spent by {txids[0].hex()}"):
        shown(sim, 0, dear)


def test_no_other_request_is_called_a_release() -> None:
    """Catches a digest of anything that others are talked into under the label of a release."""
    sim, _ = with_dust(3, 3_000)
    key_id = sim.core(0).ctx.epoch.key_id.hex()
    with pytest.raises(UserError, match="labels that begin with 'release ' are for what this node"):
        ask(sim, 0, "sign", key_id=key_id, digest="8f" * 32, label="release 5 in 00 input 1/1")
    assert ask(sim, 0, "sign", key_id=key_id, digest="8f" * 32, label="an invoice")


def test_a_release_that_was_renounced_names_what_to_change() -> None:
    """F-16: catches an operator who is sent to an option that the command does not have."""
    sim, outpoints = with_dust(4, 3_000, preset=evolve(QUICK, request_lifetime_s=2 * ROUND_S))
    given = wanted(outpoints)
    release(sim, (0,), given)
    sim.run(4 * ROUND_S)
    with pytest.raises(UserError, match="renounced the request permanently: use another fee rate"):
        release(sim, (0,), given)
    release(sim, (0,), {**given, "fee_rate": 2})
