"""Signing against cheaters: every field of every message, then the smart ones."""

from __future__ import annotations

import attrs
import pytest

from metanode.tss import curve
from metanode.tss.messages import Message, sign_rounds
from metanode.tss.parameters import STANDARD
from metanode.tss.sign import SigningSession, SignSession
from tests.misbehaviour.tss.cases import (
    CHEATER,
    VICTIM,
    Case,
    answers_of,
    check_outcome,
    fields_of,
    nobody_blames_the_honest,
    tamper_with,
)
from tests.tss.support import (
    deal,
    deliver,
    edit,
    flip,
    other_point,
    plus_one,
    seeded,
    sign_sessions,
    zero,
)

ROUNDS = sign_rounds(STANDARD)
SIGNERS = (1, 2, 3)


def order(data: bytes) -> bytes:
    """Put n where the first scalar of the field is."""
    return curve.ORDER.to_bytes(32, "big") + data[32:]


def off_curve(_: bytes) -> bytes:
    """Return a well-formed x that no point has."""
    return b"\x02" + (5).to_bytes(32, "big")


B, D = "broadcast", "direct"
TABLE = [
    Case(1, B, "commitment", "commitment", True, transferable=True),
    Case(1, B, "commitment", "equivocation", False, label="-in-flight", in_flight=True),
    Case(1, D, "salt", "ot_consistency", True, ban=True),
    Case(1, D, "columns", "ot_consistency", True, ban=True),
    Case(1, D, "x_check", "ot_consistency", True, ban=True),
    Case(1, D, "t_check", "ot_consistency", True, ban=True),
    Case(2, B, "echo", "equivocation", False),
    Case(2, B, "nonce_point", "commitment", True, transferable=True, change=other_point),
    Case(2, B, "salt", "commitment", True, transferable=True),
    Case(2, B, "key_point", "mul_check", True, ban=True, change=other_point),
    Case(2, B, "key_point", "malformed", True, transferable=True, change=zero, label="-identity"),
    Case(2, B, "key_point", "malformed", True, transferable=True, change=off_curve, label="-off"),
    Case(2, D, "echo", "equivocation", False),
    Case(2, D, "salt", "mul_check", True, ban=True),
    Case(2, D, "masked", "mul_check", True, ban=True),
    Case(2, D, "masked", "malformed", True, transferable=True, change=order, label="-order"),
    Case(2, D, "eta", "mul_check", True, ban=True, change=plus_one),
    Case(2, D, "eta", "mul_check", True, ban=True, change=zero, label="-zero"),
    Case(2, D, "eta", "malformed", True, transferable=True, change=order, label="-order"),
    Case(2, D, "masked", "mul_check", True, ban=True, change=zero, label="-zero"),
    Case(2, D, "mu", "mul_check", True, ban=True),
    Case(2, D, "mu", "mul_check", True, ban=True, change=zero, label="-zero"),
    Case(2, D, "gamma_u", "mul_check", True, ban=True, change=other_point),
    Case(2, D, "gamma_u", "malformed", True, transferable=True, change=zero, label="-identity"),
    Case(2, D, "gamma_v", "mul_check", True, ban=True, change=other_point),
    Case(2, D, "gamma_v", "malformed", True, transferable=True, change=zero, label="-identity"),
    Case(2, D, "psi", "invalid_signature", False, change=plus_one),
    Case(2, D, "psi", "invalid_signature", False, change=zero, label="-zero"),
    Case(2, D, "psi", "malformed", True, transferable=True, change=order, label="-order"),
    Case(3, B, "echo", "equivocation", False),
    Case(3, B, "u", "invalid_signature", False, change=plus_one),
    Case(3, B, "u", "invalid_signature", False, change=zero, label="-zero"),
    Case(3, B, "u", "malformed", True, transferable=True, change=order, label="-order"),
    Case(3, B, "w", "invalid_signature", False, change=plus_one),
    Case(3, B, "w", "invalid_signature", False, change=zero, label="-zero"),
    Case(3, B, "w", "malformed", True, transferable=True, change=order, label="-order"),
]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_tampered_field(case: Case) -> None:
    """Catches a field that nobody checks, a wrong culprit and a wrong ban."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)


def test_the_table_covers_every_field() -> None:
    """Catches a new field without a tampering case."""
    assert {(case.round, case.slot, case.name) for case in TABLE} == fields_of(ROUNDS)


def test_equivocated_round_1_bans_nobody() -> None:
    """Catches honest parties banning each other when a cheater shows them different commitments."""
    sessions = sign_sessions(deal(4, 4), (1, 2, 3, 4))

    def tamper(recipient: int, message: Message) -> Message:
        public = message.recipient is None
        if message.round == 1 and message.sender == CHEATER and public and recipient == VICTIM:
            return edit(ROUNDS, message, "commitment", flip)
        return message

    deliver(sessions, tamper=tamper)
    for party in (1, 3, 4):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.ban) == ("equivocation", (), False)


def test_echo_is_checked_before_the_multiplications_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a μ check, and its ban, made on messages of an equivocated round."""
    worked = []
    monkeypatch.setattr("metanode.tss.sign.bob_finish", lambda *args: worked.append(args))
    case = Case(1, B, "commitment", "equivocation", False, in_flight=True)
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)
    assert not worked


def test_copied_commitment_cannot_be_opened() -> None:
    """Catches a nonce point chosen after seeing another's: a copied commitment never opens."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    copied: dict[int, bytes] = {}

    def tamper(recipient: int, message: Message) -> Message:
        if message.recipient is not None or message.round > 2:
            return message
        if message.sender == 1:
            copied[message.round] = message.payload
        if message.sender == CHEATER and message.round in copied:
            changed = attrs.evolve(message, payload=copied[message.round])
            if message.round == 1:
                sessions[CHEATER]._broadcasts[1, CHEATER] = changed.payload
            return changed
        return message

    deliver(sessions, tamper=tamper)
    abort = sessions[3].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("commitment", (CHEATER,))


@pytest.mark.parametrize(
    "point",
    [bytes(33), off_curve(b""), b"\x02" + b"\xff" * 32, b"\x04" + bytes(32)],
    ids=["identity", "off-curve", "out-of-range", "uncompressed"],
)
def test_committed_but_bad_nonce_points(point: bytes) -> None:
    """Catches an R_j that opens its commitment and is no point: R would be the others' alone."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    original = SigningSession._commit

    def commit(party: int, own: bytes, salt: bytes) -> bytes:
        return original(sessions[CHEATER], party, point if party == CHEATER else own, salt)

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender == CHEATER and message.round == 2 and message.recipient is None:
            return edit(ROUNDS, message, "nonce_point", lambda _: point)
        return message

    sessions[CHEATER]._commit = commit
    deliver(sessions, tamper=tamper)
    for party in (1, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.transferable) == ("malformed", (CHEATER,), True)


def test_committed_nonce_point_that_is_not_the_input_of_the_multiplication() -> None:
    """Catches a party that opens R' = r'·G but multiplies r: u would not belong to R."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    original = curve.generator_mult
    sessions[CHEATER]._entropy = seeded("cheater")
    start = sessions[CHEATER].start

    def start_with_another_nonce() -> list[Message]:
        out = start()
        (lane,) = sessions[CHEATER]._lanes
        lane.nonce = (lane.nonce + 1) % curve.ORDER
        return out

    sessions[CHEATER].start = start_with_another_nonce
    deliver(sessions)
    assert curve.generator_mult is original
    for party in (1, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.ban) == ("mul_check", (CHEATER,), True)


def test_consistent_wrong_share_is_seen_but_not_attributed() -> None:
    """Catches a wrong share passing, and an honest party being blamed for it."""
    shares = dict(deal(3, 3))
    wrong = (shares[CHEATER].secret_share + 1) % curve.ORDER
    shares[CHEATER] = attrs.evolve(shares[CHEATER], secret_share=wrong)
    sessions = sign_sessions(shares, SIGNERS)
    deliver(sessions)
    for session in sessions.values():
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("key_mismatch", ())
        assert not session.abort.ban


def test_shares_of_two_epochs_do_not_mix() -> None:
    """Catches a refreshed share meeting an old one: their sessions must not even talk."""
    shares = dict(deal(2, 2))
    shares[CHEATER] = attrs.evolve(shares[CHEATER], epoch=1)
    sessions = sign_sessions(shares, (1, 2))
    deliver(sessions)
    assert [session.state for session in sessions.values()] == ["round-1", "round-1"]


def test_a_party_with_another_digest_is_not_heard() -> None:
    """Catches messages made for one digest being used for another."""
    shares = deal(2, 2)
    sessions = {
        1: sign_sessions(shares, (1, 2))[1],
        2: sign_sessions(shares, (1, 2), digest=bytes(32))[2],
    }
    deliver(sessions)
    assert [session.state for session in sessions.values()] == ["round-1", "round-1"]
    assert all(session.abort is None for session in sessions.values())


def test_another_digest_under_the_same_session_id_gives_no_signature() -> None:
    """Catches a cheater whose w is made for another document."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    sessions[CHEATER]._lanes[0].digest = bytes(32)
    deliver(sessions)
    for party in (1, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits) == ("invalid_signature", ())


def test_u_that_cancels_the_sum() -> None:
    """Catches a division by zero when a rushing cheater makes Σu zero."""
    sessions = sign_sessions(deal(2, 2), (1, 2))
    seen: list[bytes] = []

    def tamper(recipient: int, message: Message) -> Message | None:
        if message.round == 3 and message.sender == 1:
            return message
        if message.round == 3 and message.sender == CHEATER:
            seen.append(message.payload)
            own = sessions[VICTIM]._lanes[0].u
            return edit(ROUNDS, message, "u", lambda _: curve.encode_scalar(-own))
        return message

    deliver(sessions, tamper=tamper)
    assert seen
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("invalid_signature", ())


def test_nonce_points_that_sum_to_infinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches R = infinity being used: r would be undefined."""
    shares = deal(2, 2)
    sessions = sign_sessions(shares, (1, 2))
    first = sessions[1].start()
    sessions[2]._entropy = seeded("other")
    nonce = sessions[1]._lanes[0].nonce
    values = iter([curve.ORDER - nonce])
    original = curve.random_scalar
    with monkeypatch.context() as patch:
        patch.setattr(curve, "random_scalar", lambda e: next(values, None) or original(e))
        second = sessions[2].start()
    queue = [(2, m) for m in first] + [(1, m) for m in second]
    while queue:
        recipient, message = queue.pop(0)
        queue += [(3 - recipient, m) for m in sessions[recipient].receive(message)]
    for session in sessions.values():
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("invalid_signature", ())


def test_replay_of_an_older_session_is_ignored() -> None:
    """Catches messages of a finished session, or with its id, entering a new one."""
    shares = deal(2, 2)
    recorded: list[Message] = []

    def record(_: int, message: Message) -> Message:
        recorded.append(message)
        return message

    deliver(sign_sessions(shares, (1, 2)), tamper=record)
    fresh = sign_sessions(shares, (1, 2), instance=b"\x07" * 32)
    fresh[1].start()
    for message in recorded:
        assert fresh[1].receive(message) == []
    assert fresh[1].state == "round-1"
    # With the id rewritten the content still belongs to the old session and must not pass.
    for message in recorded:
        if message.sender == CHEATER:
            fresh[1].receive(attrs.evolve(message, session_id=fresh[1].session_id))
    abort = fresh[1].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)


def test_every_cheater_of_a_round_is_named() -> None:
    """Catches a check that stops at the first culprit, leaving a second pair unbanned."""
    sessions = sign_sessions(deal(4, 4), (1, 2, 3, 4))

    def tamper(recipient: int, message: Message) -> Message:
        if message.round == 1 and message.recipient == VICTIM and message.sender in (2, 4):
            return edit(ROUNDS, message, "t_check", flip)
        return message

    deliver(sessions, tamper=tamper)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (2, 4), True)
    assert sessions[3].abort is None


def test_nothing_leaves_after_an_abort() -> None:
    """Catches a second answer after a failed check, which would be an oracle."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    case = Case(1, D, "columns", "ot_consistency", True, ban=True)
    sent = answers_of(sessions[VICTIM])
    tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)
    assert sent == []
    nobody_blames_the_honest(sessions)
    session = sessions[VICTIM]
    assert isinstance(session, SignSession)
    (lane,) = session._lanes
    assert lane.nonce == lane.phi == lane.key_part == 0
