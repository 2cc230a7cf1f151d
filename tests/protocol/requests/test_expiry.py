"""Requests to sign whose time is over: renounced for good, and let go when too many did (F-16)."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import UserError
from metanode.protocol.requests.requests import OPEN_LIMIT
from spec import messages as m
from tests.protocol.reshare.support import Holder, sign_document
from tests.simulation.asking import DIGEST, all_signed, ask, ask_to_sign, quiet, signature
from tests.simulation.expiring import (
    LATE_S,
    LIFETIME_S,
    expired,
    expiry,
    hasty,
    loses,
    silence,
    statuses,
)
from tests.simulation.simulator import QUICK, Simulation

ROUND_S = QUICK.round_period_s


def test_what_nobody_could_sign_in_time_expires_everywhere() -> None:
    """Catches a request that stays overdue for ever, and one that is let go before its time."""
    sim = hasty(1)
    silence(sim)
    event = ask_to_sign(sim, range(4))
    sim.run(LIFETIME_S - 0.2)
    assert "EXPIRED" not in statuses(sim, event)
    assert expiry(sim, 0, event) == {
        "renounced": 0, "needed": 3, "renounced_here": False, "released_here": False,
        "same_holders": True,
    }
    sim.run_until(lambda: expired(sim, event), 2 * ROUND_S, "expired at all nodes")
    sim.run(0.1)
    assert expiry(sim, 0, event)["renounced"] == 4
    assert not sim.core(0).requests.is_overdue(event)
    assert not sim.refusals
    assert not sim.faults


def test_an_expired_request_is_refused_and_can_be_asked_for_with_another_label() -> None:
    """Catches an event that is signed after it expired, and a digest that never can be again."""
    sim = hasty(2)
    silence(sim)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: expired(sim, event), LATE_S, "expired")
    sim.tamper.clear()
    for number in range(4):
        with pytest.raises(UserError, match="has renounced the request permanently"):
            ask_to_sign(sim, (number,))
    again = ask_to_sign(sim, range(4), label="second try")
    assert again != event
    sim.run_until(lambda: all_signed(sim, again), 2 * ROUND_S, "signed under another label")
    assert expired(sim, event)


def test_one_statement_fewer_than_r_lets_nothing_expire() -> None:
    """F-16: catches a node that gives up on too few words: the others could still sign."""
    sim = hasty(3)
    silence(sim)
    event = ask_to_sign(sim, (0, 1))
    sim.run(2 * LATE_S)
    assert statuses(sim, event) == ["PENDING", "PENDING", "UNKNOWN", "UNKNOWN"]
    found = expiry(sim, 0, event)
    assert (found["renounced"], found["needed"], found["renounced_here"]) == (2, 3, True)
    with pytest.raises(UserError, match="another --label"):
        ask_to_sign(sim, (0,))
    ask_to_sign(sim, (2,))
    sim.run(LIFETIME_S - 0.5)
    assert "EXPIRED" not in statuses(sim, event)
    sim.run_until(lambda: expired(sim, event, (0, 1, 2)), LATE_S, "the third has renounced it")
    assert statuses(sim, event)[3] == "UNKNOWN"


def test_the_statement_that_comes_first_after_the_hour_ends_it_here_as_well() -> None:
    """F-16: catches a node that waits for its own clock, or lets go what it has not renounced."""
    holder = Holder.at()
    event = holder.takes("sign", sign_document(), lifetime=10)
    for number in (1, 2):
        holder.node.receive(number, m.Renounced(event))
    assert holder.book.status(event) == "PENDING"
    holder.node.ctx.now += 11
    holder.node.take()
    holder.node.receive(3, m.Renounced(event))
    assert holder.book.status(event) == "EXPIRED"
    assert holder.requests.has_renounced(event)
    assert m.Renounced(event) in [send.message for send in holder.node.take().sends]


def test_who_renounced_takes_no_part_when_others_go_on() -> None:
    """Catches a node that says "never again" and votes: its word would be worth nothing."""
    sim = hasty(4)
    silence(sim)
    event = ask_to_sign(sim, (0,))
    sim.run(LATE_S)
    assert expiry(sim, 0, event)["renounced_here"]
    sim.tamper.clear()
    before = dict(sim.nodes[0].disk.cells.get("voted", {}))
    ask_to_sign(sim, (1, 2, 3))
    sim.run_until(lambda: all_signed(sim, event), 4 * ROUND_S, "the other three sign")
    assert sim.nodes[0].disk.cells.get("voted", {}) == before
    assert not sim.nodes[0].disk.get("released", sim.nodes[0].node_id, event, DIGEST)


def test_a_node_whose_share_is_out_keeps_the_request_open_and_says_so() -> None:
    """F-16: catches a signer that renounces, or expires, what may be signed any moment."""
    sim = hasty(5)
    silence(sim, m.Step)
    event = ask_to_sign(sim, range(4))
    sim.run(2 * LATE_S)
    released = [expiry(sim, number, event)["released_here"] for number in range(4)]
    assert sum(released) >= 3
    for number, out in enumerate(released):
        assert expiry(sim, number, event)["renounced_here"] is not out
    assert set(statuses(sim, event)) == {"PENDING"}


def test_a_late_signature_counts_for_who_renounced_and_still_waits() -> None:
    """F-15: catches a node that ignores a signature because its own time was over."""
    sim = hasty(6)
    silence(sim, m.SignatureFound)
    event = ask_to_sign(sim, range(4))
    sim.run(2 * LATE_S)
    without = [number for number in range(4) if signature(sim, number, event) is None]
    assert len(without) == 1, "three have signed"
    (last,) = without
    assert expiry(sim, last, event)["renounced_here"]
    sim.tamper.clear()
    sim.crash(last)
    sim.start(last)
    sim.run_until(lambda: all_signed(sim, event), 2.0, "told when it is up again")


def test_who_renounces_what_is_signed_is_told_the_signature() -> None:
    """Catches a node that waits for statements which can never come: the others are done."""
    sim = hasty(16)
    silence(sim, m.SignatureFound)
    event = ask_to_sign(sim, range(4))
    sim.run(LATE_S)
    (last,) = [number for number in range(4) if signature(sim, number, event) is None]
    sim.tamper.clear()
    assert expiry(sim, last, event)["renounced_here"]
    sim.run_until(lambda: all_signed(sim, event), 9 * ROUND_S, "told when it says so again")


def test_a_signature_after_the_end_changes_nothing() -> None:
    """Catches an expired event that becomes SUCCESS: by then it may have been refunded."""
    signed = quiet(7)
    event = ask_to_sign(signed, range(4))
    signed.run_until(lambda: all_signed(signed, event), 2 * ROUND_S, "signed in another world")
    found = signed.core(0).book.found[event]
    sim = hasty(7)
    silence(sim)
    assert ask_to_sign(sim, range(4)) == event
    sim.run_until(lambda: expired(sim, event), LATE_S, "expired in this one")
    sim.inject(1, found, 0)
    sim.run(0.2)
    assert expired(sim, event)
    assert event not in sim.core(0).book.found
    assert not sim.faults


def test_a_node_that_was_down_learns_of_the_end_when_it_is_up() -> None:
    """Catches statements that are made once only: who was away would wait for ever."""
    sim = hasty(8)
    silence(sim)
    event = ask_to_sign(sim, range(4))
    sim.run(0.5)
    sim.crash(3)
    sim.run_until(lambda: expired(sim, event, (0, 1, 2)), LATE_S, "expired at three")
    sim.start(3)
    sim.run_until(lambda: expired(sim, event), 2 * ROUND_S, "and at the fourth")


def test_statements_that_were_lost_are_made_again() -> None:
    """Catches a node that waits for ever for what was said while the network was bad."""
    sim = hasty(9)
    silence(sim, m.Setup, m.Renounced)
    event = ask_to_sign(sim, range(4))
    sim.run(LATE_S)
    assert set(statuses(sim, event)) == {"PENDING"}
    sim.tamper.clear()
    sim.run_until(lambda: expired(sim, event), 2 * ROUND_S, "told again with the next round")


def test_whoever_is_done_answers_who_is_behind_once_a_round() -> None:
    """Catches an expired node that is silent, and two that answer each other without end."""
    sim = hasty(10)
    silence(sim)
    sim.tamper[3] = loses(m.Setup, m.Renounced)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: expired(sim, event), LATE_S, "expired")
    sim.tamper.clear()
    said = sim.sent.get("Renounced", 0)
    for _ in range(5):
        sim.inject(3, m.Renounced(event), 0)
    sim.run(0.3)
    assert 1 <= sim.sent.get("Renounced", 0) - said <= 2
    sim.run(3 * ROUND_S)
    assert sim.sent.get("Renounced", 0) - said <= 2, "who is done says nothing unasked"


def test_what_others_said_before_the_operator_asked_counts() -> None:
    """Catches a late operator whose request hangs because the others have spoken already."""
    sim = hasty(11)
    silence(sim)
    event = ask_to_sign(sim, (0, 1))
    sim.run(LATE_S)
    for number in (0, 1):
        sim.tamper[number] = loses(m.Setup, m.Renounced)
    ask_to_sign(sim, (2,))
    sim.run_until(lambda: expired(sim, event, (2,)), LATE_S, "it has heard them before")


def test_a_request_is_signed_and_expires_for_the_holders_that_it_names_only() -> None:
    """F-16: catches holders who were never asked, and for whom others renounced an event."""
    sim = hasty(12)
    silence(sim)
    event = ask_to_sign(sim, range(4))
    core = sim.core(0)
    key = core.ctx.epoch
    core.ctx.use(evolve(key, byzantine=key.byzantine - 1))
    assert core.requests.rebuild(event, core.ctx.round_number()) is None
    sim.run(2 * LATE_S)
    assert statuses(sim, event) == ["PENDING", "EXPIRED", "EXPIRED", "EXPIRED"]
    found = expiry(sim, 0, event)
    assert (found["same_holders"], found["renounced_here"]) == (False, True)


def test_holders_are_named_by_the_node_and_not_by_the_operator() -> None:
    """Catches a request for holders that the operator made up, taken as if it could be met."""
    sim = quiet(13)
    key_id = sim.core(0).ctx.epoch.key_id.hex()
    with pytest.raises(UserError, match="others hold the key now"):
        ask(sim, 0, "sign", key_id=key_id, digest=DIGEST.hex(), holders="00" * 32)
    assert not sim.core(0).requests.asked


def test_expired_requests_take_no_room_for_new_ones() -> None:
    """Catches a node that takes no request any more because too many old ones are open."""
    sim = hasty(14)
    silence(sim)
    digests = [number.to_bytes(32, "big") for number in range(OPEN_LIMIT)]
    for digest in digests:
        ask_to_sign(sim, (0,), digest)
    sim.run(LATE_S)
    assert not sim.core(0).requests.open()
    ask_to_sign(sim, (0,))


def asked_for_new_shares(sim: Simulation) -> dict[str, object]:
    """Return the fields of a request for new shares."""
    key = sim.core(0).ctx.epoch
    return {"key_id": key.key_id.hex(), "epoch": key.number}


def test_requests_for_the_key_do_not_expire() -> None:
    """Catches a refresh that is given up for good: for one epoch there is only one request."""
    sim = hasty(15)
    ask(sim, 0, "keyrefresh", **asked_for_new_shares(sim))
    [event] = sim.core(0).requests.asked
    sim.run(LATE_S)
    assert sim.core(0).requests.is_overdue(event)
    assert sim.core(0).expiry.describe(event) is None
    assert ask(sim, 0, "keyrefresh", **asked_for_new_shares(sim)).expires > sim.core(0).ctx.now
    assert not sim.core(0).requests.is_overdue(event)
