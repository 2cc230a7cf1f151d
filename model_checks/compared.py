"""A changed protocol beside the one that stands: what differs in the networks and in the proofs.

Networks run at sizes that take a moment: only what differs is looked at. Steps are compared with
their labels, so a change that makes no difference to a network is known as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache

import numpy as np
from attrs import evolve, frozen

from model_checks.cases import Case, quorum
from model_checks.engines.edges import check_always_can
from model_checks.engines.explicit import CHUNK, Explicit, SearchTooLarge
from model_checks.engines.fingerprint import keys_of
from model_checks.engines.liveness import check_liveness
from model_checks.engines.oracle import Instance, Result
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.models import CASES, PROOFS, coordinator_rotation, regroup_handover
from model_checks.system import Network, System, close
from spec.language.assembly import Protocol
from spec.language.declarations import SpecError
from spec.protocol import PROTOCOL

MAX_STATES = 2_000_000


@frozen
class Small:
    """A network at a size that takes a moment: what is compared is before and after a change."""

    network: Network
    sizes: Mapping[str, int]
    constants: Mapping[str, int]
    symmetry: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    """Witnesses that no state reaches at this size."""

    @classmethod
    def of(cls, case: Case) -> Small:
        """Return a case as it is explored."""
        return cls(
            case.network, case.sizes, case.constants, case.symmetry, case.unreached
        )


def _smallest() -> Iterator[Small]:
    """Yield every case of rows that must hold and is small enough.

    Of the others there is one beside them that is smaller, in ``SMALLER``.
    """
    for case in CASES:
        holds = not case.refuted and not case.deep and case.network.rows
        if holds and case.pinned.distinct <= MAX_STATES:
            yield Small.of(case)


_ONE = {"Event": 1, "Digest": 1, "Instance": 1}

SMALLER = (
    Small(
        coordinator_rotation.NETWORK, {"Peer": 2, "Attempt": 2, **_ONE}, quorum(2, 0, 2),
        ("Peer",),
    ),
    Small(
        regroup_handover.TOLD_AGAIN,
        {"Peer": 3, "Attempt": 2, "Epoch": 2, **_ONE, "Digest": 2}, quorum(2, 0, 2),
        ("Peer", "Digest"),
    ),
)
"""Networks that are explored at sizes too large for this, at smaller ones."""

SMALL = (*_smallest(), *SMALLER)


@frozen
class Numbers:
    """What a search says: verdicts, and the counts that the models pin."""

    violated: frozenset[str]
    reached: frozenset[str]
    counts: tuple[int, int, int]


def runs(network: Network, tables: Collection[str]) -> bool:
    """Return whether a network has rows of one of the tables; no tables stand for all of them."""
    return not tables or any(table in tables for table, _ in network.rows)


def in_networks(protocol: Protocol, tables: Collection[str] = ()) -> tuple[str, str]:
    """Return the strongest verdict of the networks that a change, in these tables, concerns."""
    concerned, differs, refused = 0, "", ""
    for place, small in enumerate(SMALL):
        network = small.network
        if not runs(network, tables):
            continue
        try:
            system = close(network, protocol)
        except SpecError as error:  # it names what is gone; another network may miss it for more
            refused = refused or f"{network.name}: {error}"
            continue
        if shape(system) == shape(_original(place)):
            continue
        concerned += 1
        try:
            search, now = _search(place, system)
        except SpecError as error:  # what was the only step that had to happen is gone
            refused = refused or f"{network.name}: {error}"
            continue
        _, before = search_original(place)
        gone = sorted(now.violated - before.violated) + sorted(before.reached - now.reached)
        if gone:
            return "property", f"{network.name}: {', '.join(gone)}"
        if now.counts != before.counts:
            differs = differs or f"{network.name}: {before.counts} becomes {now.counts}"
        elif search is not None and labelled_edges(search) != _edges(place):
            concerned = -1_000
    if refused:
        return "static", refused
    if differs:
        return "counts", differs
    if concerned > 0:
        return "equivalent", "the same labelled steps in every network that has the row"
    why = "no network runs it" if not concerned else "other steps, the same numbers"
    return "survived", why


def shape(system: System) -> object:
    """Return what makes up the behaviour of a system, without the texts it came from."""
    actions = [
        (a.name, a.parameters, [g.formula for g in a.guards], a.updates, a.fair)
        for a in system.actions
    ]
    return sorted(system.cells), system.first, actions, [c.formula for c in system.properties]


@cache
def _original(place: int) -> System:
    return close(SMALL[place].network, PROTOCOL)


@cache
def search_original(place: int) -> tuple[Explicit | None, Numbers]:
    """Return the search of a network with the protocol as it stands, and what it says."""
    return _search(place, _original(place))


def _search(place: int, system: System) -> tuple[Explicit | None, Numbers]:
    small = SMALL[place]
    instance = Instance(system, small.sizes, small.constants)
    search = Explicit(instance, small.symmetry)
    try:
        result = search.explore(MAX_STATES)
        check_always_can(search, result)
        if not small.symmetry:
            check_liveness(search, result)
    except SearchTooLarge as error:
        return None, _numbers(error.result)
    return search, _numbers(result)


def _numbers(result: Result) -> Numbers:
    counts = (result.distinct, result.generated, result.depth)
    return Numbers(frozenset(result.violated), frozenset(result.reached), counts)


@cache
def _edges(place: int) -> int:
    search, _ = search_original(place)
    return 0 if search is None else labelled_edges(search)


def labelled_edges(search: Explicit) -> int:
    """Return a number for the set of all steps of a finished search: from where, which, where to.

    Steps are added up, so their order does not matter; two systems with other steps have the same
    number with a probability of 2⁻⁶⁴.
    """
    total = 0
    for level in search.levels:
        for start in range(0, level.shape[1], CHUNK):
            for number, before, after in search.successors(level[:, start : start + CHUNK]):
                name = search.actions[number].ground.name
                label = int.from_bytes(name.encode()[-8:], "big") * 0x9E3779B97F4A7C15
                words = [keys_of(before), keys_of(search.canonical(after))]
                mixed = np.full(before.shape[1], label & (2**64 - 1), np.uint64)
                for word in words:
                    mixed = (mixed ^ word) * np.uint64(0xBF58476D1CE4E5B9)
                    mixed ^= mixed >> np.uint64(31)
                total = (total + int(mixed.sum(dtype=np.uint64))) & (2**64 - 1)
    return total


def first_unproved(protocol: Protocol, tables: Collection[str] = ()) -> str:
    """Return the first obligation that a changed protocol does not meet, or nothing."""
    for number, case in enumerate(PROOFS):
        if not runs(case.network, tables):
            continue
        try:
            system, original = case.system(protocol), _proved_original(number)
        except SpecError:
            continue  # its text names what is gone, which is no proof that something fails
        changed = _changed_actions(system, original)
        if not changed and system.first == original.first:
            continue
        induction = evolve(case, steps=ATTEMPT_STEPS).induction(protocol)
        for obligation in induction.obligations():
            action = obligation.action
            if (action is None or action.name in changed) and not induction.answer(
                obligation, second_solver=False, examples=False
            ).proved:
                return f"{case.name}: {obligation.name}"
    return ""


@cache
def _proved_original(number: int) -> System:
    return PROOFS[number].system()


def _changed_actions(system: System, original: System) -> set[str]:
    before = {a.name: ([g.formula for g in a.guards], a.updates) for a in original.actions}
    return {
        a.name for a in system.actions if before.get(a.name) != ([g.formula for g in a.guards],
                                                                 a.updates)
    }
