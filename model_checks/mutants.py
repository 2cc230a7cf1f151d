"""What notices each mutant of the tables, and which ones nothing here notices.

Whoever asks what a promise is worth wants to know whether the promise fails when a rule is broken.
So the networks that run the changed row (at small sizes) and the proofs are asked first; a verdict
is the strongest of these. **property**: something fails in a network that held, or a witness is out
of reach. **proof**: the induction fails. **refused** or **static**: the tables are ill-formed.
**record**: a requirement on one record of the table is not met, which says the row once more, from
the other side, and no more than that. **counts**: every verdict stays and only numbers change.
**equivalent**: the table takes the same steps from every state, or each network that has the row
has the same labelled steps: what was changed is redundant. What is left has **survived**.

The score has three figures: by property or proof, by a static check only, by a record only. The
first is the headline. A guard of a safety table whose loss is noticed by neither property nor proof
needs a reason in ``survivors.toml``, and so does whatever survives.

``quick`` asks the cheap ones first, and stops at the first that notices: for the sample of CI.
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
from model_checks.compared import first_unproved, in_networks, runs
from model_checks.console import Unusable, table, write
from model_checks.engines.one_step import OneStep, Unmet, same_steps
from model_checks.engines.provers import PROVED, ask_cvc5, contradict, smt_lib
from model_checks.models import CASES, PROOFS, signing
from model_checks.mutations import DROPPED, ORIGINAL, Mutant, Source, mutants
from model_checks.records import RECORDS
from model_checks.system import close
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
VERDICTS = ("property", "proof", "refused", "static", "record", "counts", "equivalent", "survived")
FIGURES = {
    "by property or proof": ("property", "proof"),
    "by a static check only": ("refused", "static"),
    "by a record only": ("record",),
}
"""The score: the first figure is what the promises are worth."""
SAFETY_TABLES = ("session", "event", "payout", "regroup", "keygen", "peer", "link", "block_list")
"""The tables of which each guard must be missed by a promise, or have its reason."""
UNNOTICED = {"equivalent": "redundant", "survived": "survives"}
"""The verdicts that need a reason, with a word for each."""


@frozen
class Fate:
    """What became of a mutant; ``by`` says in which network, or why it was not even run."""

    name: str
    kind: str
    verdict: str
    by: str

    @property
    def table(self) -> str:
        """The table of whose row it is; empty for cells and definitions."""
        table, comma, _ = self.name.partition(", row ")
        return table if comma else ""

    @property
    def is_safety_guard(self) -> bool:
        """Whether it lacks one guard of a table that safety rests on."""
        return self.kind == DROPPED and self.table in SAFETY_TABLES


def fate_of(mutant: Mutant, *, quick: bool = False) -> Fate:
    """Return the strongest that notices a mutant, or with ``quick`` the cheapest."""
    name, kind = mutant.name, mutant.kind
    try:
        protocol = mutant.source.assemble()
    except SpecError as error:
        return Fate(name, kind, "refused", str(error))
    stages = [_promise, _static, _record]
    if quick:
        stages = [_static, _record, _promise]
    for stage in stages:
        found = stage(mutant.source, protocol)
        if found is not None:
            return Fate(name, kind, *found)
    if _is_same(mutant.source, protocol):
        return Fate(name, kind, "equivalent", "the same steps from every state")
    return Fate(name, kind, *in_networks(protocol, _changed(mutant.source)))


_Found = tuple[str, str] | None
"""A verdict, and by what; None: nothing is noticed."""


def _promise(source: Source, protocol: Protocol) -> _Found:
    """Return which property of a network, or which proof, fails."""
    if source.cells == ORIGINAL.cells and _is_same(source, protocol):
        return None
    tables = _changed(source)
    verdict, by = in_networks(protocol, tables)
    if verdict == "property":
        return verdict, by
    failed = first_unproved(protocol, tables)
    return ("proof", failed) if failed else None


def _static(source: Source, protocol: Protocol) -> _Found:
    fault = next(_ill_formed(source, protocol), "") or _ill_named(source, protocol)
    return ("static", fault) if fault else None


def _ill_named(source: Source, protocol: Protocol) -> str:
    """Return the first network whose text names what the change took away."""
    networks = [case.network for case in CASES] + [case.network for case in PROOFS]
    for network in networks:
        if runs(network, _changed(source)):
            try:
                close(network, protocol)
            except SpecError as error:
                return f"{network.name}: {error}"
    return ""


def _record(source: Source, protocol: Protocol) -> _Found:
    unmet = next(_unmet(source, protocol), None)
    return ("record", f"{unmet.table}: {unmet.requirement}") if unmet else None


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


def reasons(kind: str = "survivor", path: Path = SURVIVORS) -> dict[str, str]:
    """Return why each named mutant may survive, or with ``"unseen"`` why no promise misses it."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get(kind, ())
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


def _fate(number: int, *, quick: bool) -> Fate:
    return fate_of(_all()[number], quick=quick)


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


def lines(
    found: list[Fate], known: Mapping[str, str], unseen: Mapping[str, str] | None
) -> tuple[list[str], list[str]]:
    """Return the table with the figures and the reasons, and what has none, though it needs one.

    A change that makes no difference needs a reason too: why is the text there that was changed?
    ``known`` has the reasons of survivors, ``unseen`` those of guards that no promise misses; None
    where promises were not asked first, so that there are no figures.
    """
    told = [*_verdicts(found), *(score(found) if unseen is not None else ())]
    left = [fate for fate in found if fate.verdict in UNNOTICED]
    real = sum(1 for fate in found if fate.verdict != "equivalent")
    noticed = len(found) - len(left)
    told.append(f"{noticed} of {real} noticed by something, {100 * noticed / max(real, 1):.0f} %")
    for verdict, said in UNNOTICED.items():
        explained = Counter(known.get(f.name, "") for f in left if f.verdict == verdict)
        told += [f"  {count:>4} {said}: {why}" for why, count in explained.items() if why]
    without = [f"{f.name}: {UNNOTICED[f.verdict]} ({f.by})" for f in left if not known.get(f.name)]
    if unseen is None:
        return told, without
    quiet = [fate for fate in found if fate.is_safety_guard and not _is_promised(fate)]
    explained = Counter(unseen.get(fate.name, "") for fate in quiet)
    told += [f"  {count:>4} no promise misses it: {why}" for why, count in explained.items() if why]
    without += [
        f"{f.name}: no property and no proof misses it ({f.verdict}: {f.by})"
        for f in quiet if not unseen.get(f.name) and f.verdict not in UNNOTICED
    ]
    return told, without


def _verdicts(found: list[Fate]) -> list[str]:
    """Return the table: how many mutants of each kind have which verdict."""
    counts = Counter((fate.kind, fate.verdict) for fate in found)
    rows: list[tuple[str, ...]] = [("change", *VERDICTS, "all")]
    for kind in (*dict.fromkeys(fate.kind for fate in found), "all"):
        numbers = [
            sum(n for (k, v), n in counts.items() if v == verdict and kind in (k, "all"))
            for verdict in VERDICTS
        ]
        rows.append((kind, *map(str, numbers), str(sum(numbers))))
    return table(rows)


def score(found: list[Fate]) -> list[str]:
    """Return the three figures: of all that changes something, and of guards, table by table."""
    real = [fate for fate in found if fate.verdict != "equivalent"]
    guards = [fate for fate in found if fate.is_safety_guard]
    told = [_figures("all changes that change a behaviour", real)] if real else []
    if guards:
        told.append(_figures("guards of the safety tables, dropped", guards))
    for name in SAFETY_TABLES:
        mine = [fate for fate in guards if fate.table == name]
        if mine:
            told.append("  " + _figures(name, mine))
    return told


def _figures(what: str, fates: list[Fate]) -> str:
    """Return how many are noticed by what, of so many."""
    said = []
    for name, verdicts in FIGURES.items():
        number = sum(fate.verdict in verdicts for fate in fates)
        said.append(f"{number} ({100 * number / len(fates):.0f} %) {name}")
    return f"{what}: of {len(fates)}, {', '.join(said)}"


def _is_promised(fate: Fate) -> bool:
    return fate.verdict in FIGURES["by property or proof"]


def main(arguments: argparse.Namespace) -> int:
    """Run the command ``mutants``; returns the exit code."""
    sample = arguments.sample or (SAMPLE if arguments.fast else 0)
    numbers = select(arguments.only, sample, arguments.seed, guards=arguments.fast)
    found = []
    for fate in in_processes(partial(_fate, quick=bool(sample)), numbers):
        found.append(fate)
        if len(found) % 50 == 0:
            sys.stderr.write(f"… {len(found)} of {len(numbers)} mutants\n")
    known = reasons()
    unseen = None if sample else reasons("unseen")
    told, unexplained = lines(found, known, unseen)
    stale = stale_reasons(found, known, unseen)
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
    write([*told, *(f"{SURVIVORS.name}: {line}" for line in stale)])
    return 0 if well else 1


def stale_reasons(
    found: list[Fate], known: Mapping[str, str], unseen: Mapping[str, str] | None
) -> list[str]:
    """Return the reasons that are no longer needed, or are for a mutant that there is not."""
    noticed = {fate.name for fate in found if fate.verdict not in UNNOTICED}
    promised = {fate.name for fate in found if _is_promised(fate)}
    made = {mutant.name for mutant in _all()}
    stale = [f"it does not survive: {name}" for name in sorted(noticed & known.keys())]
    stale += [f"a promise misses it now: {name}" for name in sorted(promised & set(unseen or ()))]
    gone = sorted({*known, *(unseen or ())} - made)
    return stale + [f"there is no such change any more: {name}" for name in gone]
