"""Words on prepared shares: kept back, told to some only, two at once, forged, in floods."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.errors import Equivocation
from metanode.identity import Identity
from metanode.protocol.keys.epoch import Member, decode_epoch
from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER
from spec import messages as m
from tests.simulation.epochs import draft_of, members_of, said, said_by, wish
from tests.simulation.hostile import OLDEST, Change, changes, frames_speak_for_themselves, network
from tests.simulation.simulator import Simulation, Tamper
from tests.simulation.test_regroup import ask, pays, works

NEXT = 10**6
HONEST = tuple(number for number in range(4) if number != OLDEST)
VICTIM = HONEST[0]
SPARE = {"members": 6, "threshold": 4, "byzantine": 1}
"""Numbers with which one member may be left out (F-38)."""

REST = tuple(number for number in range(6) if number != OLDEST)


def other(message: m.SharePrepared) -> m.SharePrepared:
    """Return a word on another document of the same epoch."""
    draft = decode_epoch(message.document)
    package = evolve(draft.package, chain_code=bytes(32))
    return evolve(message, document=evolve(draft, package=package).encode())


def silent_but(change: Change) -> Tamper:
    """Return a liar that never hands over, which would show its true word, and lies about it."""
    lie = changes(m.SharePrepared, change)
    return lambda to, message: [] if isinstance(message, m.HandedOver) else lie(to, message)


def refreshed(sim: Simulation, numbers: Iterable[int] = range(4), limit_s: float = 12.0) -> None:
    """Ask for a refresh; all these nodes must come to work with new shares that pay."""
    chosen = tuple(numbers)
    epoch = ask(sim)
    sim.run_until(lambda: works(sim, chosen, epoch), limit_s, "new shares work")
    pays(sim)
    assert not sim.refusals


def test_a_member_that_never_says_it_has_its_share_is_left_out() -> None:
    """F-26: catches a liar that deals, keeps silent, and so costs every night."""
    sim = network(21, deposit=False, **SPARE)
    sim.tamper[OLDEST] = silent_but(lambda word: [])
    refreshed(sim, REST, 60.0)
    roster = sim.core(VICTIM).ctx.epoch.roster
    assert sim.nodes[OLDEST].node_id not in roster
    assert sim.core(VICTIM).ctx.epoch.byzantine == 1, "who was missed may have been correct"


def test_a_word_to_one_member_only_reaches_all() -> None:
    """Catches a holder that steps back alone: what it heard, its HandedOver shows to all."""
    sim = network(22, deposit=False)
    unlucky = [sim.nodes[number].node_id for number in HONEST[1:]]
    sim.tamper[OLDEST] = changes(m.SharePrepared, lambda word: [], to=unlucky)
    refreshed(sim)


def test_two_documents_of_one_epoch_are_evidence() -> None:
    """Catches a member that confirms one sharing to some and another one to others, unpunished."""
    sim = network(23, deposit=False)
    sim.tamper[OLDEST] = changes(m.SharePrepared, lambda word: [word, other(word)])
    refreshed(sim)
    found = [fault for fault in sim.faults_of(OLDEST) if isinstance(fault, Equivocation)]
    assert len(found) == 3
    liar = sim.nodes[OLDEST].node_id
    assert all(frames_speak_for_themselves(fault.frames, liar) for fault in found)
    assert all(sim.core(number).blocks.is_blocked(liar) for number in HONEST)


def test_the_true_word_to_one_and_a_false_one_to_the_rest_fences_nobody_alone() -> None:
    """Catches one honest holder that has stepped back while the others never will.

    They hold the liar to its first word; what all members signed must count all the same.
    """
    sim = network(28, deposit=False)
    deceived = [sim.nodes[number].node_id for number in HONEST[1:]]
    sim.tamper[OLDEST] = changes(m.SharePrepared, lambda word: [other(word)], to=deceived)
    refreshed(sim)
    assert {n for _, n, note in sim.notes if note["event"] == "epoch.equivocation"} == set(
        HONEST[1:]
    )


def test_a_false_word_to_all_costs_attempts_and_not_the_night() -> None:
    """Catches a member whose word nobody can use, and that is waited for for ever."""
    sim = network(25, deposit=False, **SPARE)
    sim.tamper[OLDEST] = silent_but(lambda word: [other(word)])
    refreshed(sim, REST, 60.0)
    assert sim.nodes[OLDEST].node_id not in sim.core(VICTIM).ctx.epoch.roster


def test_a_flood_of_drafts_is_bounded_and_pushes_nothing_out() -> None:
    """Catches memory that one member fills, and an attempt whose number it took first."""
    sim = network(26, deposit=False)
    epoch = ask(sim)
    rounds = sim.core(VICTIM).ctx.round_number()
    numbers = [*range(rounds, rounds + 40), *range(NEXT, NEXT + 40)]
    for number in numbers:
        draft = draft_of(sim, number)
        for to in HONEST:
            sim.inject(OLDEST, m.SharePrepared(number, draft.encode()), to)
    sim.run(0.1)
    liar = sim.nodes[OLDEST].node_id
    for number in HONEST:
        said_there = sim.core(number).handover.drafts._said
        assert sum(liar in words for words in said_there.values()) <= DRAFTS_PER_MEMBER
        assert not sim.core(number).ctx.drafts
    sim.run_until(lambda: works(sim, HONEST, epoch), 40.0, "new shares work")


def test_members_that_a_liar_made_up_are_not_heard() -> None:
    """Catches strangers that vouch for each other: as members of a draft they would take part.

    All of them sign, so the draft is complete; but nobody here asked for these holders.
    """
    sim = network(27, deposit=False)
    wish(sim, VICTIM)
    core = sim.core(VICTIM)
    made_up = [Identity.generate(Random(number).randbytes) for number in range(2)]
    strangers = [Member(each.node_id, Outpoint(bytes(32), 0), 1) for each in made_up]
    members = sorted((*members_of(sim, [OLDEST]), *strangers), key=lambda one: one.node_id)
    for number in range(NEXT, NEXT + 30):
        draft = draft_of(sim, number, HONEST, threshold=3, byzantine=0)
        draft = evolve(draft, members=tuple(members))
        words = (said(sim, OLDEST, draft), *(said_by(each, draft) for each in made_up))
        told = m.HandedOver(number, bytes(32), draft.encode(), words)
        sim.inject(OLDEST, told, VICTIM)
    sim.run(0.1)
    assert not core.ctx.drafts
    assert not core.handover.drafts._said
    assert len(core.handover.books._books) <= DRAFTS_PER_MEMBER
    parts = {*core.ctx.epoch.roster, *core.wishes.parties()}
    assert not {identity.node_id for identity in made_up} & parts
    assert not sim.refusals


@pytest.mark.parametrize("fault", ["forged", "missing", "twice", "stranger"])
def test_statements_that_do_not_hold_make_nothing_ready(fault: str) -> None:
    """F-25: catches holders that step back although a member has no share."""
    sim = network(28, deposit=False)
    wish(sim, VICTIM)
    draft = draft_of(sim, NEXT)
    words = [said(sim, number, draft) for number in draft_order(sim)]
    silent = next(i for i, word in enumerate(words) if word.member == sim.nodes[HONEST[1]].node_id)
    shown = {
        "forged": [*words[:silent], evolve(words[silent], signature=bytes(63) + b"\1"),
                   *words[silent + 1 :]],
        "missing": [*words[:silent], *words[silent + 1 :]],
        "twice": [*words[:silent], words[silent - 1], *words[silent + 1 :]],
        "stranger": [*words[:silent], evolve(words[silent], member=b"\x02" + bytes(32)),
                     *words[silent + 1 :]],
    }[fault]
    sim.inject(OLDEST, m.HandedOver(NEXT, bytes(32), draft.encode(), tuple(shown)), VICTIM)
    sim.run(0.2)
    core = sim.core(VICTIM)
    assert not core.ctx.drafts
    assert core.handover.holding(1) == "active"
    assert len(sim.faults_of(OLDEST)) == (1 if fault == "forged" else 0)
    assert not sim.refusals


def draft_order(sim: Simulation) -> list[int]:
    """Return the numbers of the founders in the order of their party indices."""
    return sorted(range(4), key=lambda number: sim.nodes[number].node_id)
