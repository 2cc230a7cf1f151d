"""Messages that are lost on their way, in a whole network: asked for, and told again."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from metanode.protocol.events.purpose import coordinator_of
from spec import messages as m
from spec.parameters import Preset
from tests.simulation.asking import all_signed, ask_to_sign, quiet
from tests.simulation.hostile import MIDDLE, OLDEST, network
from tests.simulation.simulator import QUICK, Simulation

SILENT = evolve(QUICK, confirm_share=5.0)
"""No attempt goes on for so long: nobody asks for a vote or a certificate."""


def loses(sim: Simulation, sender: int, kind: type, to: Iterable[int]) -> list[object]:
    """Let one message of a kind from one node to some others be lost, and return which one was."""
    lost: list[object] = []
    waiting = {sim.nodes[number].node_id for number in to}

    def drop(recipient: bytes, message: object) -> list[object]:
        if not isinstance(message, kind) or recipient not in waiting:
            return [message]
        waiting.discard(recipient)
        lost.append(message)
        return []

    sim.tamper[sender] = drop
    return lost


@pytest.mark.parametrize(("preset", "waits"), [(QUICK, 0), (SILENT, 1)])
def test_a_round_whose_vote_was_lost_finishes_in_the_same_round(preset: Preset, waits: int) -> None:
    """Catches a vote that is gone for good: the round of all is lost with it, and the users wait.

    The second case is what happens when nobody asks: a later round signs.
    """
    sim = network(1, preset=preset)
    lost = loses(sim, OLDEST, m.Vote, [MIDDLE])
    sim.run_until(lambda: bool(sim.noted("payout.signed", MIDDLE)), 8.0, "the payout is signed")
    (vote,) = lost
    assert isinstance(vote, m.Vote)
    rounds = sim.core(MIDDLE).book.locked[vote.event].certificate.attempt - vote.attempt
    assert min(rounds, 1) == waits
    assert not sim.faults
    sim.settle()


def asked(seed: int, preset: Preset = QUICK) -> tuple[Simulation, bytes, int, list[int]]:
    """Return a network in which exactly t nodes run and all ask for a signature, the event, the
    node that coordinates its first attempt, and the two others.
    """
    sim = quiet(seed, preset=preset)
    roster = sim.core(0).ctx.epoch.roster
    number = sim.core(0).ctx.round_number()
    leader = sim.number_of(coordinator_of(roster, 1, number))
    others = [n for n in range(4) if n != leader]
    sim.crash(others.pop())
    return sim, ask_to_sign(sim, [leader, *others]), leader, others


@pytest.mark.parametrize(("preset", "waits"), [(QUICK, False), (SILENT, True)])
@pytest.mark.parametrize("kind", [m.Vote, m.Begin])
def test_a_request_is_signed_in_the_attempt_whose_message_was_lost(
    kind: type, preset: Preset, waits: bool
) -> None:
    """Catches an ACK or a BEGIN that is gone for good, where every holder that is up is needed."""
    sim, event, leader, (first, second) = asked(2, preset)
    sender, receiver = (first, leader) if kind is m.Vote else (leader, first)
    lost = loses(sim, sender, kind, [receiver])
    up = [leader, first, second]
    sim.run_until(lambda: all_signed(sim, event, up), 8.0, "the request is signed")
    assert len(lost) == 1
    message = lost[0]
    attempt = message.attempt if isinstance(message, m.Vote) else message.certificate.attempt
    assert (sim.core(leader).book.locked[event].certificate.attempt > attempt) is waits
    assert not sim.faults


def test_a_signature_that_a_node_did_not_hear_is_asked_for_in_the_next_round() -> None:
    """Catches a holder that was not chosen, and never learns what the others have signed."""
    sim = quiet(3)
    event = ask_to_sign(sim, range(4))

    def drop(recipient: bytes, message: object) -> list[object]:
        unheard = isinstance(message, m.SignatureFound) and recipient not in message.signers
        return [] if unheard else [message]

    def having() -> list[int]:
        return [number for number in range(4) if event in sim.core(number).book.found]

    sim.tamper |= dict.fromkeys(range(4), drop)
    sim.run_until(lambda: len(having()) == 3, 4.0, "the signers have the signature")
    sim.run(0.3)
    assert len(having()) == 3
    sim.tamper.clear()
    sim.run_until(lambda: all_signed(sim, event), QUICK.round_period_s + 0.5, "all have it")
    assert not sim.faults
