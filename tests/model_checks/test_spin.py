"""SPIN, another checker with another search, agrees: same counts, same verdicts.

Where spin is not installed these tests are skipped. ``.ci/run`` installs it and sets ``CI_SPIN``,
and then a missing spin fails them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import evolve

from model_checks.cases import one_event, quorum
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance
from model_checks.export import main, promela
from model_checks.models import NETWORKS
from model_checks.system import Move, Network, close
from tests.model_checks.classics import (
    alternating_bit,
    bakery,
    die_hard,
    dining_philosophers,
    ewd998,
    mesi,
    paxos,
    planted,
    raft_election,
)
from tests.model_checks.exchange import exchange

pytestmark = pytest.mark.skipif(
    os.environ.get("CI_SPIN") != "required" and bool(promela.missing()),
    reason=promela.missing(),
)


def instance_of(name: str, sizes: Mapping[str, int], constants: Mapping[str, int]) -> Instance:
    """Return a network at a size."""
    return Instance(close(NETWORKS[name]), sizes, constants)


CLASSICS = [
    (die_hard.NETWORK, {}, {}),
    (ewd998.NETWORK, {"Node": 3}, {"Most": 1, "Sum": 3}),
    (bakery.NETWORK, {"Process": 3}, {"Most": 3}),
    (paxos.NETWORK, {"Acceptor": 3, "Value": 2, "Ballot": 2}, {}),
    (mesi.NETWORK, {"Cache": 3}, {}),
    (raft_election.NETWORK, {"Server": 3}, {"Terms": 2, "Majority": 2}),
    (alternating_bit.NETWORK, {"Datum": 2}, {}),
    (dining_philosophers.LEFT_HANDER, {"Philosopher": 4}, {}),
]
"""Specs that are written as a user writes them, at a size."""
PLANTED = [
    (planted.SPILLS, {}, {}, "big in 0..5"),
    (dining_philosophers.NETWORK, {"Philosopher": 4}, {}, "NeverStuck"),
    (planted.VOTE_IN_MEMORY, {"Server": 3}, {"Terms": 2, "Majority": 2}, "OneLeaderATerm"),
]
"""Broken ones, with a property that must fail: a range, a deadlock, an invariant."""

AGREE = [
    ("two_phase_commit", {"Manager": 3}, {}),
    ("two_phase_commit", {"Manager": 6}, {}),
    ("signing", one_event(3, 1, 2), quorum(3, 0, 2)),
    ("signing", one_event(3, 1, 2), quorum(3, 1, 3)),
    ("signing_eager_liars", one_event(3, 2, 2), quorum(3, 0, 2)),
    ("signing_first_vote_final", one_event(3, 2, 2), quorum(3, 0, 2)),
    ("event_status", one_event(2, 2), quorum(2, 0, 2) | {"R": 1}),
    ("event_status", one_event(3), quorum(3, 0, 2) | {"R": 2}),
    ("refund_against_payout", one_event(3), quorum(3, 1, 2) | {"R": 3}),
    ("keygen_lock_in", {"Peer": 3, "Key": 2}, quorum(3, 0, 3)),
    ("link_duplicates", {"Peer": 2, "Link": 2}, {}),
    ("link_whoever_notices", {"Peer": 2, "Link": 2}, {}),
    ("handshake_reflected", {"Peer": 3, "Link": 1}, {"F": 1}),
    ("block_list", {"Peer": 3}, quorum(3, 1, 2)),
    ("swap_settlement", {"Peer": 4, "Swap": 1}, quorum(4, 1, 3)),
    ("cooldown", one_event(4), quorum(4, 1, 3)),
    ("coordinator_rotation", one_event(2, 2), quorum(2, 0, 2)),
]
"""Networks at a size."""
PUBLISHED = {3: 288, 6: 50_816}
"""States of two-phase commit by its managers."""

REFUTED = [
    ("signing_naive_retry", one_event(3, 2, 2), quorum(3, 0, 2), "NoDoubleSign"),
    ("signing_certificate_without_lock", one_event(3, 2, 2), quorum(3, 0, 2), "NoDoubleSign"),
    ("signing_later_vote_forgotten", one_event(3, 2, 2), quorum(3, 0, 2), "NoDoubleSign"),
    ("signing_lock_in_memory", one_event(3, 2, 2), quorum(3, 0, 2), "NoDoubleSign"),
    ("keygen_ends_locally", {"Peer": 3, "Key": 2}, quorum(3, 0, 3), "LockInAgreement"),
    ("keygen_lock_in_unsigned", {"Peer": 4, "Key": 2}, quorum(4, 1, 3), "LockInAgreement"),
    ("refund_on_own_word", one_event(4), quorum(4, 1, 3) | {"R": 3}, "NoPayAndRefund"),
    ("block_list_silence_is_guilt", {"Peer": 3}, quorum(3, 1, 2), "HonestTogether"),
    ("swap_other_coins", {"Peer": 4, "Swap": 1}, quorum(4, 1, 3), "SwapExclusive"),
]
"""Variants at a size, with a property that must fail."""


@pytest.mark.parametrize(("name", "sizes", "constants"), AGREE, ids=[each[0] for each in AGREE])
def test_spin_counts_the_same_states(
    tmp_path: Path,
    name: str,
    sizes: Mapping[str, int],
    constants: Mapping[str, int],
) -> None:
    """Catches a model that means something else than the engines: SPIN has one state more.

    What our engine refutes is left out, so that SPIN goes on to the end; see the next test.
    """
    instance = instance_of(name, sizes, constants)
    ours = Explicit(instance, records="Manager" if "Manager" in sizes else "Peer").explore()
    assert ours.distinct == PUBLISHED.get(sizes.get("Manager", 0), ours.distinct)
    named = [checked.property.name for checked in instance.system.properties]
    asserted = [each for each in named if each not in ours.violated]
    theirs = promela.verify(promela.model(instance, asserted), tmp_path, few_states=True)
    assert not theirs.violated
    assert theirs.complete
    assert theirs.states == ours.distinct + 1


@pytest.mark.parametrize(
    ("name", "sizes", "constants", "refuted"), REFUTED, ids=[each[0] for each in REFUTED]
)
def test_spin_refutes_what_must_fail(
    tmp_path: Path,
    name: str,
    sizes: Mapping[str, int],
    constants: Mapping[str, int],
    refuted: str,
) -> None:
    """Catches a model in which nothing is ever wrong."""
    instance = instance_of(name, sizes, constants)
    assert refuted in Explicit(instance).explore(until=(refuted,)).violated
    assert promela.verify(promela.model(instance, [refuted]), tmp_path, few_states=True).violated


@pytest.mark.parametrize(
    ("network", "sizes", "constants"), CLASSICS, ids=[each[0].name for each in CLASSICS]
)
def test_spin_counts_the_states_of_a_users_spec(
    tmp_path: Path, network: Network, sizes: Mapping[str, int], constants: Mapping[str, int]
) -> None:
    """Catches a number, an effect on all or a chosen first value that SPIN reads differently."""
    instance = Instance(close(network), sizes, constants)
    theirs = promela.verify(promela.model(instance), tmp_path, few_states=True)
    assert (theirs.violated, theirs.complete) == (False, True)
    assert theirs.states == Explicit(instance).explore().distinct + 1


@pytest.mark.parametrize(
    ("network", "sizes", "constants", "refuted"), PLANTED, ids=[each[0].name for each in PLANTED]
)
def test_spin_refutes_what_is_planted(
    tmp_path: Path, network: Network, sizes: Mapping[str, int], constants: Mapping[str, int],
    refuted: str,
) -> None:
    """Catches a range or a deadlock that is not asked for in the model."""
    instance = Instance(close(network), sizes, constants)
    assert promela.verify(promela.model(instance, [refuted]), tmp_path, few_states=True).violated


def test_a_step_out_of_its_range_is_no_deadlock(tmp_path: Path) -> None:
    """Catches a state that is called stuck because its only step is an error of another kind."""
    network = evolve(die_hard.NETWORK, moves=(Move("Spill()", (), {"big": "6"}),))
    model = promela.model(Instance(close(network), {}, {}), ["NeverStuck"])
    assert not promela.verify(model, tmp_path, few_states=True).violated


def test_an_exchange_has_the_same_states(tmp_path: Path) -> None:
    """Catches temporaries that become part of the state."""
    result = promela.verify(promela.model(exchange()), tmp_path, few_states=True)
    assert (result.states, result.violated) == (5, False)


def test_running_spin(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a violation that ends in success."""
    assert main(["two_phase_commit", "--spin", "--sort", "Manager=3"]) == 0
    assert "holds, 289 states" in capsys.readouterr().out
