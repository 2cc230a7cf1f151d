"""What notices each mutant of the tables, and which ones nothing here notices.

A mutant is tried, in this order, with the assembly of the tables, their static checks, the
requirements of ``records``, the networks that run the changed row (at small sizes), and the proofs:
with what ``check --fast`` runs. It is **refused** or **static** when it is ill-formed; **record**
when a requirement on one record of the table is not met; **property** when something fails in a
network that held, or a witness is out of reach; **proof** when the induction fails; **counts** when
every verdict stays and only pinned numbers change, which an auditor sees as a difference. It is
**equivalent** when the table takes the same steps from every state, or when each network that has
the row has the same labelled steps: what was changed is redundant. What is left has survived, and
needs a reason in ``survivors.toml``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from attrs import asdict, evolve, frozen

from model_checks import local_views
from model_checks.compared import first_unproved, in_networks
from model_checks.console import Unusable, table, write
from model_checks.engines.one_step import OneStep, Unmet, same_steps
from model_checks.engines.provers import PROVED, ask_cvc5, contradict, smt_lib
from model_checks.models import PROOFS, signing
from model_checks.mutations import DROPPED, ORIGINAL, Mutant, Source, mutants
from model_checks.records import RECORDS
from model_checks.tables import cells_idle, check_table, values_unused
from spec.language.assembly import Protocol
from spec.language.declarations import SpecError

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

SURVIVORS = Path(__file__).resolve().parent / "survivors.toml"
SAMPLE = 60
"""Mutants of the fast tier, beside the dropped guards and the locks that a crash forgets."""
WORKERS = 2
LOCK = ("lock", "lock_attempt")
"""The cells that a crash must never make a node forget."""
VERDICTS = ("refused", "static", "record", "property", "proof", "counts", "equivalent", "survived")
UNNOTICED = {"equivalent": "redundant", "survived": "survives"}
"""The verdicts that need a reason, with a word for each."""


@frozen
class Fate:
    """What became of a mutant; ``by`` says in which network, or why it was not even run.

    ``twice``: a record notices it, and so do the networks and proofs, which ask for the whole.
    """

    name: str
    kind: str
    verdict: str
    by: str
    twice: bool = False


def fate_of(mutant: Mutant, *, twice: bool = False) -> Fate:
    """Return what notices a mutant first; ``twice`` asks the networks after the records too."""
    name, kind = mutant.name, mutant.kind
    try:
        protocol = mutant.source.assemble()
    except SpecError as error:
        return Fate(name, kind, "refused", str(error))
    static = next(_ill_formed(mutant.source, protocol), "")
    if static:
        return Fate(name, kind, "static", static)
    unmet = next(_unmet(mutant.source, protocol), None)
    record = Fate(name, kind, "record", f"{unmet.table}: {unmet.requirement}") if unmet else None
    if record and not twice:
        return record
    if not record and _is_same(mutant.source, protocol):
        return Fate(name, kind, "equivalent", "the same steps from every state")
    verdict, by = _in_the_whole(mutant.source, protocol)
    twice = verdict not in UNNOTICED
    return evolve(record, twice=twice) if record else Fate(name, kind, verdict, by)


def _in_the_whole(source: Source, protocol: Protocol) -> tuple[str, str]:
    """Return the verdict of the networks and proofs."""
    tables = _changed(source)
    verdict, by = in_networks(protocol, tables)
    if verdict in ("static", "property"):
        return verdict, by
    failed = first_unproved(protocol, tables)
    return ("proof", failed) if failed else (verdict, by)


def _ill_formed(source: Source, protocol: Protocol) -> Iterator[str]:
    """Yield the static faults; a table as it was, with the cells as they were, has none."""
    yield from cells_idle(protocol)
    yield from values_unused(protocol)
    for name, machine in protocol.machines.items():
        if name in _changed(source) or source.cells != ORIGINAL.cells:
            yield from check_table(protocol, machine).faults
    yield from local_views.faults(protocol)
    yield from local_views.message_faults(protocol)


def _unmet(source: Source, protocol: Protocol) -> Iterator[Unmet]:
    """Yield the requirements on one record that are not met."""
    for record in RECORDS:
        if record.table in _changed(source) or source.definitions != ORIGINAL.definitions:
            yield from OneStep(record, protocol).unmet_by_rows()
        elif source.cells != ORIGINAL.cells:
            yield from OneStep(record, protocol).unmet_by_cells()


def _is_same(source: Source, protocol: Protocol) -> bool:
    """Return whether only rows are changed, and not what they do."""
    rows_only = (source.cells, source.definitions) == (ORIGINAL.cells, ORIGINAL.definitions)
    return rows_only and all(
        same_steps(record, protocol) for record in RECORDS if record.table in _changed(source)
    )


def _changed(source: Source) -> set[str]:
    return {table.name for table in source.tables if table not in ORIGINAL.tables}


def reasons(path: Path = SURVIVORS) -> dict[str, str]:
    """Return why each named mutant may survive."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", ())
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
    if in_networks(protocol)[0] != "property":
        missed.append("search")
    case = next(case for case in PROOFS if case.name == signing.NETWORK.name)
    induction = case.induction(protocol)
    system = induction.system
    asked = (
        induction.obligation(checked, action) for action in system.actions
        for checked in induction.properties if action.name == "Crash"
    )
    left = ["z3", "cvc5", "finite states"]
    for failed in (each for each in asked if not contradict(each.formulas)):
        unnoticed = {"z3": False}
        if "cvc5" in left:
            unnoticed["cvc5"] = ask_cvc5(smt_lib(failed.formulas)) == PROVED
        if "finite states" in left:
            unnoticed["finite states"] = induction.example(failed) is None
        left = [engine for engine in left if unnoticed[engine]]
        if not left:  # one obligation is enough, and one that fails takes z3 all its attempts
            break
    return [*missed, *left]


@cache
def _all() -> tuple[Mutant, ...]:
    return tuple(mutants(ORIGINAL))


def _fate(number: int, *, twice: bool) -> Fate:
    return fate_of(_all()[number], twice=twice)


def select(only: str, sample: int, seed: int, *, guards: bool = False) -> list[int]:
    """Return the numbers of the mutants asked for; raises :class:`Unusable` if there are none.

    A sample has the locks that a crash forgets in it, and with ``guards`` each guard dropped.
    """
    found = [n for n, mutant in enumerate(_all()) if only.lower() in mutant.name.lower()]
    if not found:
        raise Unusable(f"no mutant is named {only!r}")
    if sample and sample < len(found):
        always = {n for n in found if _all()[n].name.startswith("cell lock: kept")}
        always |= {n for n in found if guards and _all()[n].kind == DROPPED}
        found = sorted({*always, *random.Random(seed).sample(found, sample)})
    return found


def in_processes(function: Callable[[_Item], _Answer], items: Iterable[_Item]) -> Iterator[_Answer]:
    """Yield what a function returns for each item, from several processes."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, items)


def lines(found: list[Fate], known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the table with the named survivors, and what survives without a reason.

    A change that makes no difference needs a reason too: why is the text there that was changed?
    """
    counts = Counter((fate.kind, fate.verdict) for fate in found)
    rows: list[tuple[str, ...]] = [("change", *VERDICTS, "all")]
    for kind in (*dict.fromkeys(fate.kind for fate in found), "all"):
        numbers = [
            sum(n for (k, v), n in counts.items() if v == verdict and kind in (k, "all"))
            for verdict in VERDICTS
        ]
        rows.append((kind, *map(str, numbers), str(sum(numbers))))
    told = table(rows)
    left = [fate for fate in found if fate.verdict in UNNOTICED]
    real = sum(1 for fate in found if fate.verdict != "equivalent")
    noticed = len(found) - len(left)
    told.append(f"{noticed} of {real} noticed, {100 * noticed / max(real, 1):.0f} %")
    records = [fate for fate in found if fate.verdict == "record"]
    twice = sum(fate.twice for fate in records)
    if twice:
        told.append(f"networks notice {twice} of the {len(records)} that a record notices")
    dropped = [fate for fate in found if fate.kind == DROPPED]
    red = sum(1 for fate in dropped if fate.verdict not in UNNOTICED)
    told.append(f"{red} of {len(dropped)} guards: without it a check is red")
    for verdict, said in UNNOTICED.items():
        explained = Counter(known.get(f.name, "") for f in left if f.verdict == verdict)
        told += [f"  {count:>4} {said}: {why}" for why, count in explained.items() if why]
    without = [f"{f.name}: {UNNOTICED[f.verdict]} ({f.by})" for f in left if not known.get(f.name)]
    return told, without


def main(arguments: argparse.Namespace) -> int:
    """Run the command ``mutants``; returns the exit code."""
    sample = arguments.sample or (SAMPLE if arguments.fast else 0)
    numbers = select(arguments.only, sample, arguments.seed, guards=arguments.fast)
    found = []
    for fate in in_processes(partial(_fate, twice=not sample), numbers):
        found.append(fate)
        if len(found) % 50 == 0:
            sys.stderr.write(f"… {len(found)} of {len(numbers)} mutants\n")
    known = reasons()
    told, unexplained = lines(found, known)
    noticed = {fate.name for fate in found if fate.verdict not in UNNOTICED}
    stale = sorted(noticed & known.keys())
    stale += sorted(known.keys() - {mutant.name for mutant in _all()})
    missed = dict(zip(LOCK, in_processes(broken_lock, LOCK), strict=True))
    bare = [f.name for f in found if f.kind == DROPPED and f.verdict in UNNOTICED]
    well = not (unexplained or stale or bare or any(missed.values()))
    if arguments.json:
        fields = [asdict(fate) for fate in found]
        told_all = {"mutants": fields, "unexplained": unexplained, "stale": stale, "lock": missed}
        write([json.dumps(told_all)])
        return 0 if well else 1
    for name, engines in missed.items():
        seen = f"NOT noticed by {', '.join(engines)}" if engines else "noticed by every engine"
        told.append(f"{name} kept in memory instead of on disk: {seen}")
    told += [f"NO REASON: {name}" for name in unexplained]
    told += [f"A GUARD THAT NO CHECK NEEDS: {name}" for name in bare]
    write([*told, *(f"{SURVIVORS.name} names it, but it does not survive: {n}" for n in stale)])
    return 0 if well else 1
