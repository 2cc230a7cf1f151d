"""A party that stops in any round: nobody is blamed, and the key that was there still signs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import attrs
import pytest

from metanode.tss.keyshare import Keyshare
from metanode.tss.messages import DEALING_ROUNDS, Message
from metanode.tss.session import Session
from metanode.tss.verify import verify_signature
from tests.misbehaviour.tss.cases import CHEATER as CRASHED
from tests.tss.support import (
    DIGEST,
    deal,
    deliver,
    keygen_sessions,
    refresh_sessions,
    reshare_sessions,
    results_of,
    sign_sessions,
)

pytestmark = pytest.mark.usefixtures("ideal_base_transfers")

THRESHOLD = 2
OLD = deal(THRESHOLD, 3)
LAST = DEALING_ROUNDS
DEALINGS: dict[str, Callable[[object], Mapping[int, Session[Keyshare]]]] = {
    "keygen": lambda seed: keygen_sessions(THRESHOLD, 3, seed=seed, context=repr(seed).encode()),
    "refresh": lambda seed: refresh_sessions(OLD, seed=seed, context=repr(seed).encode()),
    "reshare": lambda seed: reshare_sessions(
        OLD, [1, 2], [2, 3, 4], THRESHOLD, seed=seed, context=repr(seed).encode()
    ),
}
EACH = pytest.mark.parametrize("dealing", DEALINGS)
ROUNDS = pytest.mark.parametrize("crash", range(1, LAST + 1))


def silent_from(crash: int, but_to: int | None = None) -> Callable[[int, Message], Message | None]:
    """Return what loses all that one party sends from a round on, but for one recipient."""

    def tamper(recipient: int, message: Message) -> Message | None:
        lost = message.sender == CRASHED and message.round >= crash and recipient != but_to
        return None if lost else message

    return tamper


def every_quorum_signs(shares: Mapping[int, Keyshare]) -> None:
    """Assert that each t of the shares sign under the key."""
    for chosen in combinations(shares, THRESHOLD):
        sessions = sign_sessions(shares, chosen)
        deliver(sessions)
        for session in sessions.values():
            assert session.result is not None, session.abort
            r, s = session.result.r, session.result.s
            assert verify_signature(OLD[1].public_key, DIGEST, r, s)


@EACH
@ROUNDS
def test_the_old_shares_sign_after_a_crash_in_any_round(dealing: str, crash: int) -> None:
    """Catches a dealing that spends, changes or half replaces the shares it starts from."""
    before = {party: share.to_bytes() for party, share in OLD.items()}
    sessions = DEALINGS[dealing]("first")
    deliver(sessions, tamper=silent_from(crash))
    for party in set(sessions) - {CRASHED}:
        session = sessions[party]
        # Who only deals is sent nothing in round 3 and waits for the last one already.
        assert session.state in {f"round-{crash}", f"round-{LAST}"}
        assert CRASHED in session.waiting_for
        session.expire()
        assert session.result is None
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("timeout", ())
        assert not session.abort.ban
    assert {party: share.to_bytes() for party, share in OLD.items()} == before
    every_quorum_signs(OLD)


@EACH
def test_another_attempt_succeeds_after_a_crash(dealing: str) -> None:
    """Catches state that a failed attempt leaves behind and the next one trips over."""
    failed = DEALINGS[dealing]("first")
    deliver(failed, tamper=silent_from(3))
    again = DEALINGS[dealing]("second")
    assert again[1].session_id != failed[1].session_id
    deliver(again)
    assert {session.state for session in again.values()} == {"finished"}
    if dealing != "keygen":
        every_quorum_signs(results_of(again))


@pytest.mark.parametrize("dealing", ["refresh", "reshare"])
@pytest.mark.parametrize("heard_by", [1, 3])
def test_a_half_finished_dealing_leaves_two_usable_epochs_that_do_not_mix(
    dealing: str, heard_by: int
) -> None:
    """Catches a last round that only some hear, after which neither epoch could sign."""
    sessions = DEALINGS[dealing]("half")
    deliver(sessions, tamper=silent_from(LAST, but_to=heard_by))
    finished = {party for party, session in sessions.items() if session.state == "finished"}
    assert finished == {heard_by, CRASHED}
    every_quorum_signs(OLD)
    new = results_of(sessions)
    if dealing == "refresh":
        every_quorum_signs(new)
        assert not any(
            session.result
            for old_party in OLD
            for new_party in set(new) - {old_party}
            for session in mixed(old_party, new, new_party).values()
        )


def mixed(
    old_party: int, new: Mapping[int, Keyshare], new_party: int
) -> Mapping[int, Session[Any]]:
    """Return finished sessions of one old and one new share."""
    shares = {old_party: OLD[old_party], new_party: new[new_party]}
    sessions = sign_sessions(shares, sorted(shares))
    deliver(sessions)
    return sessions


def test_an_old_share_that_claims_the_new_epoch_gives_no_signature() -> None:
    """Catches a quorum of two epochs under one label: the sum must miss the key, blaming nobody.

    The old share has the new pair states, so that only the share itself is of the old epoch.
    """
    sessions = refresh_sessions(OLD)
    deliver(sessions)
    new = results_of(sessions)
    new[CRASHED] = attrs.evolve(new[CRASHED], secret_share=OLD[CRASHED].secret_share)
    signing = sign_sessions(new, (1, CRASHED))
    deliver(signing)
    for session in signing.values():
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("key_mismatch", ())


def test_old_transfers_under_the_new_epoch_give_no_signature() -> None:
    """Catches base transfers that outlive a refresh: what leaked of them must be of no use."""
    sessions = refresh_sessions(OLD)
    deliver(sessions)
    new = results_of(sessions)
    new[CRASHED] = attrs.evolve(new[CRASHED], pair_state=OLD[CRASHED].pair_state)
    signing = sign_sessions(new, (1, CRASHED))
    deliver(signing)
    abort = signing[1].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CRASHED,), True)


@EACH
def test_a_session_that_begins_again_under_its_old_id_is_equivocation(dealing: str) -> None:
    """Catches a crashed party that may answer twice: its second round 1 is not its first."""
    sessions = DEALINGS[dealing]("once")
    first = [message for session in sessions.values() for message in session.start()]
    for message in first:
        if message.sender == CRASHED:
            sessions[1].receive(message)
    other = attrs.evolve(first[0], sender=CRASHED)
    assert other.payload != next(m.payload for m in first if m.sender == CRASHED)
    sessions[1].receive(other)
    abort = sessions[1].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.transferable) == ("equivocation", (CRASHED,), True)
