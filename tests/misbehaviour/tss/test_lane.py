"""Several digests in one session against cheaters: what is spoilt in any lane, first or last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from metanode.tss import curve, sign
from metanode.tss.abort import Abort
from metanode.tss.lane import Lane, Signature
from metanode.tss.messages import Message, sign_rounds
from metanode.tss.parameters import CHECK_BYTES, STANDARD, TREES
from metanode.tss.sign import LanesSession
from metanode.tss.verify import verify_signature
from tests.misbehaviour.tss import test_sign
from tests.misbehaviour.tss.cases import (
    CHEATER,
    VICTIM,
    Case,
    check_outcome,
    fields_of,
    nobody_blames_the_honest,
    tamper_with,
)
from tests.misbehaviour.tss.test_cheating_signers import cheating
from tests.tss.support import (
    deal,
    deliver,
    digests_of,
    edit,
    flip,
    lanes_sessions,
    plus_one,
    seeded,
)

COUNT = 3
ROUNDS = sign_rounds(STANDARD, COUNT)
SIGNERS = (1, 2, 3)
DIGESTS = digests_of(COUNT)
SHARED = {"echo", "salt", "commitment", "x_check", "t_check", "mu"}
"""Fields that all lanes have in common."""
Change = Callable[[bytes], bytes]


def in_lane(number: int, name: str, change: Change) -> Change:
    """Return the change of one lane's part of a field."""

    def changed(data: bytes) -> bytes:
        if name == "columns":
            # Each line has the columns of all lanes, then the masks of the check.
            at = number * STANDARD.choice_bytes
            line = len(data) // TREES
            assert line == COUNT * STANDARD.choice_bytes + CHECK_BYTES
            return data[:at] + flip(data[at:][: STANDARD.choice_bytes]) + data[at:][64:]
        width = len(data) // COUNT
        own = slice(number * width, (number + 1) * width)
        return data[: own.start] + change(data[own]) + data[own.stop :]

    return changed


def of_lanes(case: Case, number: int) -> Case:
    """Return the case of a single signature for one lane of several."""
    if case.name in SHARED:
        return case
    change = in_lane(number, case.name, case.change)
    return attrs.evolve(case, change=change, label=f"{case.label}-lane-{number}")


TABLE = [of_lanes(case, number) for number in (0, COUNT - 1) for case in test_sign.TABLE]
TABLE = list({str(case): case for case in TABLE}.values())


def sessions_of(**more: Any) -> dict[int, LanesSession]:
    """Return the sessions of three signers on shares without bans."""
    return lanes_sessions(deal(3, 3), SIGNERS, DIGESTS, **more)


def check_lanes(sessions: Mapping[int, Any], spoilt: set[int], watching: tuple[int, ...]) -> None:
    """Assert that these parties have signatures for all digests but the spoilt ones, and blame
    nobody for those.
    """
    key = deal(3, 3)[1].public_key
    for party in watching:
        result = sessions[party].result
        assert result is not None, sessions[party].abort
        for number, (digest, outcome) in enumerate(zip(DIGESTS, result, strict=True)):
            if number in spoilt:
                assert isinstance(outcome, Abort)
                assert (outcome.kind, outcome.culprits) == ("invalid_signature", ())
                assert not (outcome.ban)
                assert not (outcome.transferable)
            else:
                assert isinstance(outcome, Signature)
                assert verify_signature(key, digest, outcome.r, outcome.s)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_tampered_field(case: Case) -> None:
    """Catches a lane that nobody checks, a wrong culprit, and good lanes lost with a spoilt one."""
    sessions = sessions_of()
    tamper_with(case, ROUNDS, sessions)
    if case.kind == "invalid_signature":
        spoilt = {0} if "lane-0" in str(case) else {COUNT - 1}
        check_lanes(sessions, spoilt, (VICTIM, 3) if case.slot == "broadcast" else (VICTIM,))
        nobody_blames_the_honest(sessions)
    else:
        check_outcome(case, sessions)


def test_the_table_covers_every_field() -> None:
    """Catches a new field without a tampering case, in the first lane or in the last."""
    fields = {(case.round, case.slot, case.name) for case in TABLE}
    assert fields == fields_of(ROUNDS)
    for number in (0, COUNT - 1):
        in_it = {case.name for case in TABLE if f"lane-{number}" in str(case)}
        assert in_it == {name for _, _, name in fields} - SHARED


def swapped(data: bytes) -> bytes:
    """Return the field with the first lane's part and the last one's in each other's place."""
    width = len(data) // COUNT
    return data[-width:] + data[width:-width] + data[:width]


SWAPS = {
    (2, "broadcast", "nonce_point"): "commitment",
    (2, "broadcast", "key_point"): "mul_check",
    (2, "direct", "masked"): "mul_check",
    (2, "direct", "eta"): "mul_check",
    (2, "direct", "gamma_u"): "mul_check",
    (2, "direct", "gamma_v"): "mul_check",
    (2, "direct", "psi"): "invalid_signature",
    (3, "broadcast", "u"): "invalid_signature",
    (3, "broadcast", "w"): "invalid_signature",
}


@pytest.mark.parametrize("place", SWAPS, ids=lambda place: place[2])
def test_swapped_lanes(place: tuple[int, str, str]) -> None:
    """Catches what is made for one digest being taken for another one of the session."""
    number, slot, name = place
    kind, sessions = SWAPS[place], sessions_of()
    banned = kind == "mul_check"
    case = Case(
        number, slot, name, kind, kind != "invalid_signature", ban=banned,
        transferable=kind == "commitment", change=swapped,
    )
    tamper_with(case, ROUNDS, sessions)
    if case.blamed:
        check_outcome(case, sessions)
    else:
        check_lanes(sessions, {0, COUNT - 1}, (VICTIM,))


def test_the_swaps_cover_every_field() -> None:
    """Catches a new field of lanes that nobody has tried to swap; columns are swapped elsewhere."""
    assert set(SWAPS) == {
        place for place in fields_of(ROUNDS) if place[2] not in {*SHARED, "columns"}
    }


@pytest.mark.parametrize("lanes", [COUNT - 1, COUNT + 1, 1])
@pytest.mark.parametrize(
    ("number", "slot"), [(1, "direct"), (2, "broadcast"), (2, "direct"), (3, "broadcast")]
)
def test_messages_of_fewer_or_more_lanes(lanes: int, number: int, slot: str) -> None:
    """Catches a message that is read as far as it goes, or whose rest is ignored."""
    sessions = sessions_of()
    plan = sign_rounds(STANDARD, lanes)[number - 1]
    shape = plan.broadcast if slot == "broadcast" else plan.direct
    assert shape is not None
    payload = shape.encode({name: bytes(length) for name, length in shape.fields})

    def tamper(recipient: int, message: Message) -> Message:
        public = message.recipient is None
        mine = message.sender == CHEATER and message.round == number
        if not mine or public != (slot == "broadcast") or recipient != VICTIM:
            return message
        return attrs.evolve(message, payload=payload)

    deliver(sessions, tamper=tamper)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("malformed", (CHEATER,))
    assert abort.transferable
    assert not abort.ban
    nobody_blames_the_honest(sessions)


@pytest.mark.parametrize(
    "other",
    [DIGESTS[:2], (*DIGESTS, bytes(32)), DIGESTS[::-1], (*DIGESTS[:2], bytes(32)), DIGESTS[:1]],
    ids=["fewer", "more", "order", "another", "one"],
)
def test_a_party_with_another_list_is_not_heard(other: tuple[bytes, ...]) -> None:
    """Catches parties who disagree about the digests, or their number, and blame each other."""
    shares = deal(3, 3)
    sessions = lanes_sessions(shares, SIGNERS, DIGESTS)
    sessions[CHEATER] = lanes_sessions(shares, SIGNERS, other)[CHEATER]
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"round-1"}


def test_a_party_with_another_tweak_is_not_heard() -> None:
    """Catches a key of one party's choice under the digests of all."""
    sessions = sessions_of()
    sessions[CHEATER] = sessions_of(tweaks=(0, 0, 1))[CHEATER]
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"round-1"}


@pytest.mark.parametrize("number", [0, COUNT - 1])
@pytest.mark.parametrize("which", [0, 1], ids=["nonce", "key"])
def test_another_input_in_one_lane_for_one_peer(number: int, which: int) -> None:
    """Catches χ·R_j or χ·pk_j that is compared in some of the lanes only."""

    def multiply(*args: Any) -> Any:
        link, punctured, delta, inputs, fields, entropy = args
        moved = [list(own) for own in inputs]
        moved[number][which] = (moved[number][which] + 1) % curve.ORDER
        return honest(link, punctured, delta, moved, fields, entropy)

    honest, sessions = sign.alice_multiply, sessions_of()
    with cheating("alice_multiply", VICTIM, CHEATER, multiply, sessions[1].session_id):
        deliver(sessions)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("mul_check", (CHEATER,), True)
    nobody_blames_the_honest(sessions)


def test_a_wrong_key_part_in_one_lane_is_seen_but_not_attributed() -> None:
    """Catches Σpk_j = PK checked for one lane in place of all, or blame for a sum over all."""
    sessions = sessions_of()
    session = sessions[CHEATER]
    original = session._zero_share
    session._zero_share = lambda lane: original(lane) + (lane.number == COUNT - 1)
    deliver(sessions)
    for party in (VICTIM, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.ban) == ("key_mismatch", (), False)


@pytest.mark.parametrize("number", [0, COUNT - 1])
def test_a_signature_for_another_document_spoils_its_lane_only(number: int) -> None:
    """Catches a cheater whose w is made for another document, and good lanes lost by it."""
    sessions = sessions_of()
    sessions[CHEATER]._lanes[number].digest = bytes(32)
    deliver(sessions)
    check_lanes(sessions, {number}, (VICTIM, 3))


def test_u_that_cancels_the_sum_of_one_lane() -> None:
    """Catches a division by zero in one lane that takes the others down."""
    sessions = lanes_sessions(deal(2, 2), (1, 2), DIGESTS)

    def tamper(recipient: int, message: Message) -> Message:
        if message.round == 3 and message.sender == CHEATER:
            own = sessions[VICTIM]._lanes[1].u
            return edit(ROUNDS, message, "u", in_lane(1, "u", lambda _: curve.encode_scalar(-own)))
        return message

    deliver(sessions, tamper=tamper)
    result = sessions[VICTIM].result
    assert [type(each) for each in result] == [Signature, Abort, Signature]


def test_every_lane_may_be_spoilt() -> None:
    """Catches a session without any signature that blames somebody, or that has no result."""
    sessions = sessions_of()
    for lane in sessions[CHEATER]._lanes:
        lane.digest = bytes(32)
    deliver(sessions)
    check_lanes(sessions, set(range(COUNT)), (VICTIM, 3))


def test_nonce_points_that_sum_to_infinity_in_one_lane() -> None:
    """Catches R = infinity being used in a lane other than the first."""
    sessions = lanes_sessions(deal(2, 2), (1, 2), DIGESTS)
    first = sessions[1].start()
    original = Lane.draw

    def opposite(lane: Lane, entropy: Any) -> None:
        original(lane, entropy)
        if lane.number == COUNT - 1:
            lane.nonce = curve.ORDER - sessions[1]._lanes[lane.number].nonce
            lane.nonce_point = curve.generator_mult(lane.nonce)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lane, "draw", opposite)
        second = sessions[2].start()
    queue = [(2, m) for m in first] + [(1, m) for m in second]
    while queue:
        recipient, message = queue.pop(0)
        queue += [(3 - recipient, m) for m in sessions[recipient].receive(message)]
    for session in sessions.values():
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("invalid_signature", ())


@pytest.mark.parametrize("name", ["gamma_u", "eta"])
def test_nothing_of_any_lane_leaves_after_one_has_failed(name: str) -> None:
    """Catches u and w of the good lanes leaving although a peer has been caught in another."""
    sessions = sessions_of()
    sent: list[Message] = []
    receive = sessions[VICTIM].receive

    def watched(message: Message) -> list[Message]:
        out = receive(message)
        sent.extend(out)
        return out

    sessions[VICTIM].receive = watched
    change = plus_one if name == "eta" else test_sign.other_point
    last = in_lane(COUNT - 1, name, change)
    case = Case(2, "direct", name, "mul_check", True, ban=True, change=last)
    tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)
    assert {message.round for message in sent} == {2}


def test_a_replay_from_another_session_is_caught() -> None:
    """Catches messages of one list of digests that serve for another one of equal length."""
    shares = deal(2, 2)
    recorded: list[Message] = []

    def record(_: int, message: Message) -> Message:
        recorded.append(message)
        return message

    deliver(lanes_sessions(shares, (1, 2), DIGESTS), tamper=record)
    fresh = lanes_sessions(shares, (1, 2), digests_of(COUNT, "another"))[VICTIM]
    fresh._entropy = seeded("fresh")
    fresh.start()
    for message in recorded:
        if message.sender == CHEATER:
            assert fresh.receive(message) == []
            fresh.receive(attrs.evolve(message, session_id=fresh.session_id))
    assert fresh.abort is not None
    assert (fresh.abort.kind, fresh.abort.culprits) == ("ot_consistency", (CHEATER,))
