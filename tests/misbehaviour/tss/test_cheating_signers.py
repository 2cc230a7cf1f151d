"""Signers that cheat with a plan: each learns at most one bit, and pays for a miss with a ban."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from metanode.tss import curve, sign
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import LEAVES_PER_TREE
from metanode.tss.sign import SignSession
from metanode.tss.verify import verify_signature
from tests.misbehaviour.tss.cases import CHEATER, VICTIM
from tests.misbehaviour.tss.cheats import guessing_bob, per_row_alice
from tests.tss.support import DIGEST, deal, deliver, sign_sessions

SIGNERS = (1, 2, 3)
TREE = 42


@contextmanager
def cheating(
    name: str, bob: int, alice: int, instead: Callable[..., Any], session_id: bytes | None = None
) -> Iterator[None]:
    """Replace one step of signing in the multiplication of one ordered pair only."""
    session_id = session_id or sign_sessions(deal(3, 3), SIGNERS)[1].session_id
    sid = pair_sid(session_id, bob, alice)
    honest = getattr(sign, name)

    def step(link: Any, *rest: Any) -> Any:
        return (instead if link.sid == sid else honest)(link, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign, name, step)
        yield


def run() -> dict[int, SignSession]:
    """Return the finished sessions of three signers."""
    sessions = sign_sessions(deal(3, 3), SIGNERS)
    deliver(sessions)
    return sessions


def accepted(sessions: dict[int, SignSession], kind: str) -> bool:
    """Return whether the victim went on; if not, check that it bans the cheater and nobody else."""
    assert sessions[3].abort is None
    abort = sessions[VICTIM].abort
    if abort is None:
        for session in sessions.values():
            assert session.result is not None
            r, s = session.result.r, session.result.s
            assert verify_signature(deal(3, 3)[1].public_key, DIGEST, r, s)
        return True
    assert (abort.kind, abort.culprits, abort.ban) == (kind, (CHEATER,), True)
    assert not abort.transferable
    assert sessions[3].result is None
    return False


def test_a_guess_at_delta_is_accepted_only_when_right() -> None:
    """Catches a session that lets a wrong guess pass, or a right one be seen and punished unfairly.

    With the right guess the signature is good: nothing else may depend on the cheater's columns.
    """
    right = []
    for guess in range(LEAVES_PER_TREE):
        with cheating("bob_start", CHEATER, VICTIM, guessing_bob(TREE, guess)):
            if accepted(run(), "ot_consistency"):
                right.append(guess)
    first, second = delta_bits(deal(3, 3)[VICTIM].pair_state[CHEATER].delta)[TREE].tolist()
    assert right == [first + 2 * second]


def test_another_input_in_one_row_is_accepted_only_where_the_choice_bit_is_zero() -> None:
    """Catches a session that lets Alice choose her input row by row, or hides whom to ban."""
    chosen: list[bytes] = []
    honest = sign.bob_start

    def bob_start(*args: Any) -> Any:
        state, fields = honest(*args)
        chosen.append(state.choices)
        return state, fields

    outcomes, bits = [], []
    for row in range(6):
        with (
            cheating("bob_start", VICTIM, CHEATER, bob_start),
            cheating("alice_multiply", VICTIM, CHEATER, per_row_alice(row)),
        ):
            outcomes.append(accepted(run(), "mul_check"))
        bits.append(chosen[-1][row])
    assert outcomes == [bit == 0 for bit in bits]
    assert len(chosen) == 6
    assert set(bits) == {0, 1}


@pytest.mark.parametrize("which", [0, 1], ids=["nonce", "key"])
def test_another_input_for_one_peer_only(which: int) -> None:
    """Catches inputs that differ between peers: the victim must see that R_j or pk_j is not it."""

    def multiply(*args: Any) -> Any:
        link, punctured, delta, inputs, fields, entropy = args
        moved = [list(own) for own in inputs]
        moved[0][which] = (moved[0][which] + 1) % curve.ORDER
        return honest(link, punctured, delta, moved, fields, entropy)

    honest = sign.alice_multiply
    with cheating("alice_multiply", VICTIM, CHEATER, multiply):
        assert not accepted(run(), "mul_check")


def test_gamma_that_fits_a_wrong_input() -> None:
    """Catches a Γ that is not checked against χ·R_j: it is moved by just what hides the change.

    The cheater multiplies a + 1 and would have to move Γ by χ·G to hide it; it guesses χ = 1.
    """
    original = SignSession._open

    def moved(self: SignSession, answers: Any) -> Any:
        if self._party == CHEATER:
            ((share_u, share_v),), fields = answers[VICTIM]
            answers = {**answers, VICTIM: (((share_u - 1, share_v),), fields)}
        return original(self, answers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignSession, "_open", moved)
        assert not accepted(run(), "mul_check")
