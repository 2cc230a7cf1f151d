"""What operators ask of honest nodes: refused with a reason, or done once and remembered."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.custody.payout import custody_address
from metanode.errors import UserError
from metanode.protocol.events.votes import ATTEMPTS_PER_VOTER
from metanode.protocol.requests.requests import AT_ONCE, OPEN_LIMIT
from spec import messages as m
from tests.simulation.asking import (
    DIGEST,
    OTHER,
    all_signed,
    ask,
    ask_to_sign,
    quiet,
    signature,
)
from tests.simulation.simulator import QUICK, Simulation, identities_of

STRANGER = identities_of(6)[5].node_id


def statuses(sim: Simulation, event: bytes) -> list[str]:
    """Return the status of an event at each running node."""
    return [sim.core(node.number).book.status(event) for node in sim.running()]


def test_a_digest_is_signed_within_one_round_when_all_operators_ask() -> None:
    """Catches a request that waits for a clock, and a signature that only its signers have."""
    sim = quiet(1)
    before = sim.now
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event), 1.5, "all have the signature")
    assert sim.now - before < QUICK.round_period_s / 2
    begun = sim.noted("session.begun")
    assert len(begun) == 3, "exactly t sign"
    assert not sim.faults


@pytest.mark.parametrize("askers", [(0, 1, 2), (1, 2, 3), (0, 2, 3), (0, 1, 3)])
def test_t_operators_are_enough_and_the_fourth_node_holds_aloof(askers: tuple[int, ...]) -> None:
    """F-17: catches a node that signs, or creates an event, without its own operator."""
    sim = quiet(2)
    event = ask_to_sign(sim, askers)
    sim.run_until(lambda: all_signed(sim, event, askers), 3 * QUICK.round_period_s, "signed")
    (other,) = set(range(4)) - set(askers)
    assert sim.core(other).book.status(event) == "UNKNOWN"
    assert all(index[1] != event for index in sim.nodes[other].disk.cells.get("voted", {}))


def test_fewer_than_t_operators_get_nothing_signed_until_another_asks() -> None:
    """Catches a node that is carried along by others, and a request that is given up."""
    sim = quiet(3)
    event = ask_to_sign(sim, (0, 1))
    sim.run(9.0)
    assert not sim.noted("session.begun")
    assert statuses(sim, event)[2:] == ["UNKNOWN", "UNKNOWN"]
    ask_to_sign(sim, (2,))
    sim.run_until(lambda: all_signed(sim, event, (0, 1, 2)), 9.0, "signed")


def test_who_asks_when_it_is_done_gets_the_same_signature_at_once() -> None:
    """Catches a second signature of one request, and a late operator who waits for ever."""
    sim = quiet(4)
    event = ask_to_sign(sim, (0, 1, 2))
    sim.run_until(lambda: all_signed(sim, event, (0, 1, 2)), 7.0, "signed")
    sim.run(0.1)
    assert ask_to_sign(sim, (3,)) == event
    assert all_signed(sim, event), "the fourth has heard it before"
    begun = len(sim.noted("session.begun"))
    ask_to_sign(sim, range(4))
    sim.run(5.0)
    assert len(sim.noted("session.begun")) == begun


def test_who_was_down_and_asks_later_is_told_by_those_who_have_it() -> None:
    """Catches a node that sets up attempts of an event that all others have finished."""
    sim = quiet(5)
    sim.crash(3)
    event = ask_to_sign(sim, (0, 1, 2))
    sim.run_until(lambda: all_signed(sim, event, (0, 1, 2)), 7.0, "signed")

    def deaf(to: bytes, message: object) -> list[object]:
        silent = to == sim.nodes[3].node_id and isinstance(message, m.SignatureFound)
        return [] if silent else [message]

    for number in (0, 1, 2):
        sim.tamper[number] = deaf
    sim.start(3)
    sim.run(1.0)
    sim.tamper.clear()
    ask_to_sign(sim, (3,))
    assert signature(sim, 3, event) is None
    sim.run_until(lambda: all_signed(sim, event), 5 * QUICK.round_period_s, "it is told")


def test_a_restart_forgets_neither_requests_nor_signatures() -> None:
    """Catches what is kept in memory only."""
    sim = quiet(6)
    open_event = ask_to_sign(sim, (0,), OTHER)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event), 4.0, "signed")
    before = signature(sim, 0, event)
    for number in range(4):
        sim.crash(number)
    sim.start_all()
    assert signature(sim, 0, event) == before
    assert [event for event, _ in sim.core(0).requests.open()] == [open_event]
    sim.run(0.5)
    ask_to_sign(sim, (1, 2), OTHER)
    sim.run_until(lambda: all_signed(sim, open_event, (0, 1, 2)), 9.0, "the other one, too")


def test_a_request_is_tried_until_its_deadline_and_longer_when_asked_again() -> None:
    """Catches attempts without end, and a request that gets no more time."""
    sim = quiet(7)
    event = ask_to_sign(sim, (0, 1))
    core = sim.core(0)
    for node in sim.running():
        node.offset += QUICK.request_lifetime_s - 1.0
    assert not core.requests.is_overdue(event)
    assert ask_to_sign(sim, (0,)) == event
    sim.run(4.5)
    assert not core.requests.is_overdue(event), "asked again in time"
    late = sim.core(1)
    assert late.requests.is_overdue(event)
    assert late.requests.open() == []
    voted = dict(sim.nodes[1].disk.cells["voted"])
    sim.run(9.0)
    assert sim.nodes[1].disk.cells["voted"] == voted, "no attempt after the deadline"
    sim.crash(0)
    sim.start(0)
    ask_to_sign(sim, (2, 3))
    sim.run_until(lambda: all_signed(sim, event, (0, 2, 3)), 9.0, "signed without the late one")


def test_many_requests_at_once_are_all_met_and_nobody_is_blamed() -> None:
    """Catches requests that push each other out, and honest voters taken for a flood."""
    assert 4 * (AT_ONCE + 1) <= ATTEMPTS_PER_VOTER
    sim = quiet(8)
    digests = [bytes([number]) * 32 for number in range(1, 9)]
    events = [ask_to_sign(sim, range(4), digest) for digest in digests]
    sim.run_until(lambda: all(all_signed(sim, event) for event in events), 5.0, "all are signed")
    assert not sim.faults
    assert not sim.refusals


def test_one_operator_cannot_open_requests_without_end() -> None:
    """Catches memory and disk that one loop of a script fills."""
    sim = quiet(9)
    key_id = sim.core(0).ctx.epoch.key_id.hex()
    for number in range(OPEN_LIMIT):
        ask(sim, 0, "sign", key_id=key_id, digest=f"{number:064x}")
    with pytest.raises(UserError, match="64 requests are open here"):
        ask(sim, 0, "sign", key_id=key_id, digest="ff" * 32)
    ask(sim, 0, "sign", key_id=key_id, digest=f"{0:064x}")


# --- refusals ---


def refused(sim: Simulation, complaint: str, kind: str, **fields: object) -> None:
    """Check that a request is refused, and that the node is as it was."""
    core, disk = sim.core(0), sim.nodes[0].disk
    before = dict(disk.cells.get("status", {})), dict(core.requests.asked)
    with pytest.raises(UserError, match=complaint):
        ask(sim, 0, kind, **fields)
    assert (dict(disk.cells.get("status", {})), dict(core.requests.asked)) == before


def test_without_a_key_nothing_is_signed() -> None:
    """Catches a request about a key that does not exist, and one for a key too few can make."""
    sim = Simulation(seed=10, keygen="command")
    sim.start_all((0, 1, 2))
    sim.run(3.0)
    refused(sim, "there is no key yet", "sign", key_id="00" * 32, digest="00" * 32)
    refused(sim, "3 of 4 members are up", "keygen")


def test_a_key_that_is_locked_in_is_not_made_again() -> None:
    """Catches a second key, and a refusal that does not say which key there is."""
    sim = quiet(11)
    address = custody_address(sim.public_key, sim.core(0).settings.hrp)
    refused(sim, address, "keygen")


def test_a_node_that_joins_makes_no_key() -> None:
    """Catches a later node whose operator waits for a key that it will never make."""
    sim = Simulation(seed=11, keygen="command")
    sim.nodes[0].settings = evolve(sim.nodes[0].settings, joins=b"\2" * 33)
    sim.start_all()
    sim.run(3.0)
    refused(sim, f"joins the key {'02' * 33} and makes none", "keygen")


def test_a_foreign_key_an_old_epoch_and_too_few_up_are_refused() -> None:
    """Catches requests that could never be met, left open instead of refused."""
    sim = quiet(12)
    key = sim.core(0).ctx.epoch
    mine = key.key_id.hex()
    refused(sim, "knows another key", "sign", key_id="00" * 32, digest=DIGEST.hex())
    refused(sim, "epoch 2 is not in force: ask for epoch 1", "keyrefresh",
            key_id=mine, epoch=2)
    ask(sim, 0, "keyrefresh", key_id=mine, epoch=1)
    sim.crash(1)
    sim.crash(2)
    few = "2 of 4 holders are up, 3 are needed: start the others"
    refused(sim, few, "sign", key_id=mine, digest=DIGEST.hex())
    all_deal = "2 of 4 holders are up, and all must deal: start the others"
    refused(sim, all_deal, "keyrefresh", key_id=mine, epoch=1)


def test_a_quorum_that_is_unsafe_unknown_or_the_same_is_refused() -> None:
    """SAFE-SIGN 1: catches a change to a quorum that could sign twice, or not at all."""
    sim = quiet(13)
    key = sim.core(0).ctx.epoch
    roster = [member.hex() for member in key.roster]
    base: dict[str, object] = {
        "key_id": key.key_id.hex(), "epoch": 1, "members": roster, "threshold": 3, "byzantine": 1,
    }
    refused(sim, "that is the quorum already", "quorumchange", **base)
    refused(sim, r"2\*2-4 = 0 <= 1", "quorumchange", **{**base, "threshold": 2})
    refused(sim, "n-f >= t must hold", "quorumchange", **{**base, "threshold": 4})
    strange = {**base, "members": [*roster[:3], STRANGER.hex()]}
    unknown = f"{STRANGER.hex()} cannot become a holder: it has never pinged"
    refused(sim, unknown, "quorumchange", **strange)
    ask(sim, 0, "quorumchange", **{**base, "threshold": 4, "byzantine": 0})
    assert [request.kind for _, request in sim.core(0).requests.open("quorumchange")]


def test_a_request_for_the_key_is_open_until_it_is_met_or_overdue() -> None:
    """Catches requests that the cores for refresh and change of quorum never hear of."""
    sim = quiet(14)
    key = sim.core(0).ctx.epoch
    ask(sim, 0, "keyrefresh", key_id=key.key_id.hex(), epoch=1)
    core = sim.core(0)
    [(event, request)] = core.requests.open("keyrefresh")
    assert request.fields["epoch"] == 1
    assert core.requests.open("quorumchange") == []
    core.ctx.use(evolve(key, package=evolve(key.package, epoch=2)))
    core.requests.settle()
    assert core.requests.open() == []
    assert core.book.status(event) == "SUCCESS"
    assert core.requests.check("keyrefresh", request.shown) == request, "it is done"


# --- a key by command ---


def test_no_key_is_made_before_every_operator_asks_and_then_one_is() -> None:
    """Catches a key by the clock, and one that waits for the clock after it was asked for."""
    sim = Simulation(seed=15, keygen="command")
    sim.start_all()
    sim.run(9.0)
    assert not sim.noted("setup.sent")
    for number in (0, 1, 2):
        ask(sim, number, "keygen")
    sim.run(9.0)
    assert not sim.noted("session.begun"), "all members take part, so all operators must ask"
    event = ask(sim, 3, "keygen").event(sim.nodes[0].settings.network_id)
    done = lambda: statuses(sim, event) == ["SUCCESS"] * 4  # noqa: E731 - a condition
    sim.run_until(done, 3 * QUICK.keygen_period_s, "the key is locked in")
    assert {core.ctx.key is not None for core in map(sim.core, range(4))} == {True}
    slots = {note["slot"] for note in sim.noted("keygen.stored")}
    assert len(slots) == 1, "one key is enough"
    sim.run(9.0)
    assert {note["slot"] for note in sim.noted("keygen.stored")} == slots


def test_with_keygen_by_the_clock_the_request_is_done_with_the_lock_in() -> None:
    """Catches a request that stays open although the key is there."""
    sim = Simulation(seed=16, keygen_s=2.0)
    sim.start_all()
    sim.run_until(lambda: len(sim.core(0).peers.members()) == 4, 4.0, "all are listed")
    event = ask(sim, 0, "keygen").event(sim.nodes[0].settings.network_id)
    status = sim.core(0).book.status
    sim.run_until(lambda: status(event) == "SUCCESS", 20.0, "the key is locked in")
    assert sim.core(0).ctx.key is not None
    assert ask(sim, 0, "keygen").kind == "keygen", "who asks again gets what was done"


# --- what the operator sees ---


def test_events_are_shown_with_what_they_are_about_and_how_far_they_are() -> None:
    """Catches an event without its kind, a result that is missing, and a lock that is not shown."""
    sim = quiet(17)
    sim.mine_every(0.7)
    sim.deposit()
    sim.settle()
    event = ask_to_sign(sim, (0, 1, 2))
    core = sim.core(0)
    before = core.operator_view.event(event)
    assert before is not None
    assert (before["kind"], before["status"], before["result"]) == ("sign", "PENDING", None)
    sim.run_until(lambda: all_signed(sim, event, (0, 1, 2)), 9.0, "signed")
    entry = core.operator_view.event(event)
    assert entry is not None
    assert entry["asked"]["digest"] == entry["result"]["digest"] == DIGEST.hex()
    rs = [int(entry["result"][name], 16) for name in "rs"]
    assert tuple(rs) == signature(sim, 0, event)
    assert len(entry["result"]["signers"]) == 3
    shown = {item["event"]: item for item in core.operator_view.events()}
    assert shown[event.hex()] == entry
    kinds = sorted({item["kind"] for item in shown.values()})
    assert kinds == ["keygen_slot", "lock_in", "payout", "sign"]
    locked = [item for item in shown.values() if item["lock"] and item["kind"] == "payout"]
    assert all(len(item["lock"]["voters"]) == 3 for item in locked)
    assert core.operator_view.event(bytes(32)) is None


def test_a_list_of_events_ends_with_the_newest_and_counts_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a page that grows for years, and attempts that are counted twice or not at all."""
    monkeypatch.setattr("metanode.protocol.operator_view.SHOWN", 2)
    sim = quiet(18)
    events = []
    for number in range(3):
        events.append(ask_to_sign(sim, (0, 1), bytes([number + 1]) * 32))
        sim.run(1.5)
    core = sim.core(0)
    for _ in range(2):
        shown = core.operator_view.events()
        assert [entry["event"] for entry in shown] == [event.hex() for event in events[1:]]
    sim.run(4 * QUICK.round_period_s)
    voted = [index for index in sim.nodes[0].disk.cells["voted"] if index[1] == events[0]]
    entry = core.operator_view.event(events[0])
    assert entry is not None
    assert entry["attempts"] == len(voted) > 1
