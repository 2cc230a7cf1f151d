"""What notices each mutant of the tables, and which ones nothing here notices.

A mutant is tried, in this order, with the assembly of the tables, their static checks, the networks
that run the changed row (at small sizes), and the proofs. It is **refused** or **static** when it
is ill-formed; **property** when something fails that held, or a witness is out of reach;
**proof** when the induction fails; **counts** when every verdict stays and only the numbers of
``manifest.toml`` or of ``record_networks`` change, which an auditor sees as a difference. It is
**equivalent** when each network that has the row has the same labelled steps as before. What is
left has survived, and needs a reason in ``survivors.toml``; most are in rows that no network runs,
and tests of the running code hold those.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from model_checks import local_views, record_networks
from model_checks.console import Unusable, table, write
from model_checks.engines.edges import check_always_can
from model_checks.engines.explicit import CHUNK, Explicit, SearchTooLarge
from model_checks.engines.fingerprint import keys_of
from model_checks.engines.induction import Induction, Obligation, chosen
from model_checks.engines.liveness import check_liveness
from model_checks.engines.oracle import Instance, Result
from model_checks.engines.provers import PROVED, ask_cvc5, contradict, smt_lib
from model_checks.lemmas.cases import PROOFS
from model_checks.mutations import ORIGINAL, Mutant, mutants
from model_checks.networks import (
    block_list,
    cooldown,
    coordinator_rotation,
    event_status,
    keygen_lock_in,
    link_duplicates,
    refund_against_payout,
    signing,
    swap_settlement,
)
from model_checks.system import Network, System, close
from model_checks.tables import check_protocol
from spec.assembly import Protocol
from spec.language import SpecError
from spec.protocol import PROTOCOL

SURVIVORS = Path(__file__).resolve().parent / "survivors.toml"
SAMPLE = 60
"""Mutants of the fast tier, beside the locks that a crash forgets."""
MAX_STATES = 300_000
WORKERS = 2
LOCK = ("lock", "lock_attempt")
"""The cells that a crash must never make a node forget."""
VERDICTS = ("refused", "static", "property", "proof", "counts", "equivalent", "survived")

_ONE = {"Event": 1, "Digest": 1, "Instance": 1}
_FOUR, _TWO = {"N": 4, "F": 1, "T": 3}, {"N": 2, "F": 0, "T": 2}

SMALL: tuple[tuple[Network, Mapping[str, int], Mapping[str, int], tuple[str, ...]], ...] = (
    (block_list.NETWORK, {"Peer": 3}, {"N": 3, "F": 1, "T": 2}, ()),
    (cooldown.NETWORK, {"Peer": 4, "Attempt": 1, **_ONE}, _FOUR, ()),
    (swap_settlement.NETWORK, {"Peer": 4, "Swap": 1}, _FOUR, ("Peer",)),
    (link_duplicates.NETWORK, {"Peer": 2, "Link": 2}, {}, ()),
    (refund_against_payout.NETWORK, {"Peer": 4, "Attempt": 1, **_ONE}, {**_FOUR, "R": 3},
     ("Peer",)),
    (event_status.NETWORK, {"Peer": 2, "Attempt": 2, **_ONE}, {**_TWO, "R": 1}, ("Peer",)),
    (keygen_lock_in.NETWORK, {"Peer": 4, "Key": 2}, _FOUR, ("Peer",)),
    (coordinator_rotation.NETWORK, {"Peer": 2, "Attempt": 2, **_ONE}, _TWO, ("Peer",)),
    (signing.NETWORK, {"Peer": 4, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1}, _FOUR,
     ("Peer", "Digest")),
    (signing.EAGER_LIARS, {"Peer": 3, "Event": 1, "Attempt": 3, "Digest": 2, "Instance": 1},
     {"N": 3, "F": 0, "T": 2}, ("Peer", "Digest")),
    *((case.network, case.sizes, case.constants, ()) for case in record_networks.CASES),
)  # fmt: skip
"""Each network at a size that takes a moment: what is compared is before and after the change."""


@frozen
class Fate:
    """What became of a mutant; ``by`` says in which network, or why it was not even run."""

    name: str
    kind: str
    verdict: str
    by: str


@frozen
class Numbers:
    """What a search says: verdicts, and the counts that the manifest pins."""

    violated: frozenset[str]
    reached: frozenset[str]
    counts: tuple[int, int, int]


def fate_of(mutant: Mutant) -> Fate:
    """Return what notices a mutant first."""
    try:
        protocol = mutant.source.assemble()
    except SpecError as error:
        return Fate(mutant.name, mutant.kind, "refused", str(error))
    reports, loose = check_protocol(protocol)
    static = [*loose, *(f for r in reports for f in r.faults), *local_views.faults(protocol)]
    static += local_views.message_faults(protocol)
    if static:
        return Fate(mutant.name, mutant.kind, "static", static[0])
    verdict, by = _in_networks(protocol)
    if verdict in ("counts", "equivalent", "survived"):
        failed = first_unproved(protocol)
        if failed:
            verdict, by = "proof", failed
    return Fate(mutant.name, mutant.kind, verdict, by)


def _in_networks(protocol: Protocol) -> tuple[str, str]:
    """Return the strongest verdict of the networks that the change concerns."""
    concerned, differs = 0, ""
    for place, (network, *_) in enumerate(SMALL):
        try:
            system = close(network, protocol)
        except SpecError as error:
            return "static", f"{network.name}: {error}"
        if shape(system) == shape(_original(place)):
            continue
        concerned += 1
        search, now = _search(place, system)
        _, before = _search_original(place)
        gone = sorted(now.violated - before.violated) + sorted(before.reached - now.reached)
        if gone:
            return "property", f"{network.name}: {', '.join(gone)}"
        if now.counts != before.counts:
            differs = differs or f"{network.name}: {before.counts} becomes {now.counts}"
        elif search is not None and labelled_edges(search) != _edges(place):
            concerned = -1_000
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
    return close(SMALL[place][0], PROTOCOL)


@cache
def _search_original(place: int) -> tuple[Explicit | None, Numbers]:
    return _search(place, _original(place))


def _search(place: int, system: System) -> tuple[Explicit | None, Numbers]:
    _, sizes, constants, symmetry = SMALL[place]
    search = Explicit(Instance(system, sizes, constants), symmetry)
    try:
        result = search.explore(MAX_STATES)
        check_always_can(search, result)
        if not symmetry:
            check_liveness(search, result)
    except SearchTooLarge as error:
        return None, _numbers(error.result)
    return search, _numbers(result)


def _numbers(result: Result) -> Numbers:
    counts = (result.distinct, result.generated, result.depth)
    return Numbers(frozenset(result.violated), frozenset(result.reached), counts)


@cache
def _edges(place: int) -> int:
    search, _ = _search_original(place)
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


def first_unproved(protocol: Protocol) -> str:
    """Return the first obligation that a changed protocol does not meet, or nothing."""
    for number, case in enumerate(PROOFS):
        network = evolve(case.network, properties=(*case.network.properties, *case.lemmas))
        system, original = close(network, protocol), _proved_original(number)
        changed = _changed_actions(system, original)
        if not changed and system.first == original.first:
            continue
        induction = Induction(system, chosen(system, case.proves))
        for obligation in induction.obligations():
            action = obligation.action
            if (action is None or action.name in changed) and not induction.answer(
                obligation, second_solver=False, examples=False
            ).proved:
                return f"{case.name}: {obligation.name}"
    return ""


@cache
def _proved_original(number: int) -> System:
    case = PROOFS[number]
    return close(evolve(case.network, properties=(*case.network.properties, *case.lemmas)))


def _changed_actions(system: System, original: System) -> set[str]:
    before = {a.name: ([g.formula for g in a.guards], a.updates) for a in original.actions}
    return {
        a.name for a in system.actions if before.get(a.name) != ([g.formula for g in a.guards],
                                                                 a.updates)
    }  # fmt: skip


def reasons(path: Path = SURVIVORS) -> dict[str, str]:
    """Return why each named mutant may survive."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["survivor"]
    return {name: entry["why"] for entry in entries for name in entry["mutants"]}


def broken_lock(name: str) -> list[str]:
    """Return the engines that do not notice when a crash forgets a cell of the lock.

    It must be noticed by the search (whose trace is replayed on the interpreter), by both provers,
    and by the solver of finite states, which must show a state that the crash breaks.
    """
    place = next(n for n, cell in enumerate(ORIGINAL.cells) if cell.name == name)
    cells = list(ORIGINAL.cells)
    cells[place] = evolve(cells[place], kept="memory")
    protocol = evolve(ORIGINAL, cells=tuple(cells)).assemble()
    missed = []
    if _in_networks(protocol)[0] != "property":
        missed.append("search")
    case = next(case for case in PROOFS if case.name == signing.NETWORK.name)
    network = evolve(case.network, properties=(*case.network.properties, *case.lemmas))
    system = close(network, protocol)
    induction = Induction(system, chosen(system, case.proves))
    crash = [o for o in induction.obligations() if o.action and o.action.name == "Crash"]
    for prover in ("z3", "cvc5", "finite states"):
        if not any(_refutes(prover, induction, obligation) for obligation in crash):
            missed.append(prover)
    return missed


def _refutes(prover: str, induction: Induction, obligation: Obligation) -> bool:
    if prover == "z3":
        return not contradict(obligation.formulas)
    if prover == "cvc5":
        return ask_cvc5(smt_lib(obligation.formulas)) != PROVED
    return induction.example(obligation) is not None


@cache
def _all() -> tuple[Mutant, ...]:
    return tuple(mutants(ORIGINAL))


def _fate(number: int) -> Fate:
    return fate_of(_all()[number])


def select(only: str, sample: int, seed: int) -> list[int]:
    """Return the numbers of the mutants asked for; raises :class:`Unusable` if there are none."""
    found = [n for n, mutant in enumerate(_all()) if only.lower() in mutant.name.lower()]
    if not found:
        raise Unusable(f"no mutant is named {only!r}")
    if sample and sample < len(found):
        locks = [n for n in found if _all()[n].name.startswith("cell lock: kept")]
        found = sorted({*locks, *random.Random(seed).sample(found, sample)})
    return found


def fates(numbers: Iterable[int], workers: int = WORKERS) -> Iterable[Fate]:
    """Yield the fates, from several processes."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_fate, numbers, chunksize=4)


def lines(found: list[Fate], known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the table with the named survivors, and the survivors without a reason."""
    counts = Counter((fate.kind, fate.verdict) for fate in found)
    rows: list[tuple[str, ...]] = [("change", *VERDICTS, "all")]
    for kind in (*dict.fromkeys(fate.kind for fate in found), "all"):
        numbers = [
            sum(n for (k, v), n in counts.items() if v == verdict and kind in (k, "all"))
            for verdict in VERDICTS
        ]
        rows.append((kind, *map(str, numbers), str(sum(numbers))))
    told = table(rows)
    survivors = [fate for fate in found if fate.verdict == "survived"]
    real = sum(1 for fate in found if fate.verdict != "equivalent")
    noticed = real - len(survivors)
    told.append(f"{noticed} of {real} noticed, {100 * noticed / max(real, 1):.0f} %")
    explained = Counter(known.get(fate.name, "") for fate in survivors)
    told += [f"  {count:>4} survive: {why}" for why, count in explained.items() if why]
    return told, [f"{f.name} ({f.by})" for f in survivors if not known.get(f.name)]


def main(arguments: argparse.Namespace) -> int:
    """Run the command ``mutants``; returns the exit code."""
    sample = arguments.sample or (SAMPLE if arguments.fast else 0)
    numbers = select(arguments.only, sample, arguments.seed)
    found = []
    for fate in fates(numbers):
        found.append(fate)
        if len(found) % 50 == 0:
            sys.stderr.write(f"… {len(found)} of {len(numbers)} mutants\n")
    known = reasons()
    told, unexplained = lines(found, known)
    noticed = {fate.name for fate in found if fate.verdict != "survived"}
    stale = sorted(noticed & known.keys())
    stale += sorted(known.keys() - {mutant.name for mutant in _all()})
    missed = {name: broken_lock(name) for name in LOCK}
    well = not (unexplained or stale or any(missed.values()))
    if arguments.json:
        fields = [{"name": f.name, "kind": f.kind, "verdict": f.verdict, "by": f.by} for f in found]
        told_all = {"mutants": fields, "unexplained": unexplained, "stale": stale, "lock": missed}
        write([json.dumps(told_all)])
        return 0 if well else 1
    for name, engines in missed.items():
        seen = f"NOT noticed by {', '.join(engines)}" if engines else "noticed by every engine"
        told.append(f"{name} kept in memory instead of on disk: {seen}")
    told += [f"NO REASON: {name}" for name in unexplained]
    write([*told, *(f"{SURVIVORS.name} names it, but it does not survive: {n}" for n in stale)])
    return 0 if well else 1
