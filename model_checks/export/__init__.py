"""Networks as text for other checkers: TLA+ for TLC and Apalache, Promela for SPIN.

``python -m model_checks.export signing --tla`` prints a module for any number of peers, with the
types that Apalache asks for if it is told ``--apalache``; with ``--configuration`` TLC's
configuration for some number of them, with ``--promela`` the model of SPIN, and ``--spin`` runs
SPIN on it. ``--golden`` writes the modules that are kept beside this file anew. Exit code 0: done,
and nothing is violated; 1: SPIN found a violation; 2: bad input.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from model_checks.console import Unusable
from model_checks.engines.oracle import Instance
from model_checks.export import promela, tla
from model_checks.models import NETWORKS
from model_checks.said import Said
from model_checks.system import System, close
from model_checks.user_spec import spec_of
from spec.language.declarations import SpecError

GOLDEN = Path(__file__).resolve().parent / "golden"
KEPT = ("two_phase_commit", "signing", "event_status", "keygen_lock_in", "refund_against_payout")
"""The networks whose modules are kept, so that a change of the tables shows in them."""
KEPT_SIZES = {
    "Peer": 3, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1, "Key": 1, "Manager": 3,
    "N": 3, "T": 3, "F": 0, "R": 1,
}
"""The size at which they say what Apalache is to check."""


def golden_files() -> dict[Path, str]:
    """Return what the kept modules must say."""
    plain = {GOLDEN / f"{name}.tla": tla.module(close(NETWORKS[name])) for name in KEPT}
    typed = {
        GOLDEN / "apalache" / f"{name}.tla": tla.module(
            close(NETWORKS[name]), typed=True, sizes=KEPT_SIZES, constants=KEPT_SIZES
        )
        for name in KEPT
    }
    return plain | typed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_checks.export", description="Write networks for other checkers."
    )
    parser.add_argument("network", nargs="?", help="such as signing, or a file with a NETWORK")
    kinds = parser.add_mutually_exclusive_group(required=True)
    for kind in ("tla", "configuration", "promela", "spin", "golden"):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind)
    parser.add_argument(
        "--apalache", action="store_true",
        help="with --tla: write the types that Apalache asks for, and where all sizes are given,"
        " an operator for --cinit=ConstInit",
    )
    for option, metavar in (("--sort", "Peer=4"), ("--const", "T=3")):
        parser.add_argument(
            option, action="append", default=[], metavar=metavar,
            help="otherwise what the file says, with SIZES or CONSTANTS",
        )
    chosen = parser.parse_args(arguments)
    if chosen.kind == "golden":
        for path, text in golden_files().items():
            path.write_text(text, encoding="utf-8")
        return 0
    if chosen.apalache and chosen.kind != "tla":
        sys.stderr.write(f"--apalache: --{chosen.kind} has no types: give it with --tla\n")
        return 2
    try:
        system, said = _system(chosen.network or "")
        sizes = {**said.sizes, **_numbers(chosen.sort, tuple(system.names.sorts))}
        numbers = {**said.constants, **_numbers(chosen.const, system.names.constants)}
        return export(system, chosen.kind, sizes, numbers, typed=chosen.apalache)
    except (ValueError, SpecError, Unusable, promela.SpinMissing) as fault:
        sys.stderr.write(f"{fault}\n")
        return 2


def _system(name: str) -> tuple[System, Said]:
    """Return the system of a network of ours, or of a user's own file, and what that says of its
    size; raises ValueError."""
    if name.endswith(".py"):
        spec = spec_of(Path(name))
        return spec.system, spec.said
    if name not in NETWORKS:
        raise ValueError(f"no network {name!r}: there are {', '.join(sorted(NETWORKS))}")
    return close(NETWORKS[name]), Said()


def export(
    system: System, kind: str, sizes: Mapping[str, int], constants: Mapping[str, int], *,
    typed: bool = False,
) -> int:
    """Print a network as ``kind``, a module with types if ``typed``, and return the exit code.

    Raises ValueError when a number is missing, :class:`~model_checks.export.promela.SpinMissing`.
    """
    if kind == "tla":
        text = tla.module(system, typed=typed, sizes=sizes, constants=constants)
        sys.stdout.write(text)
        return 0
    needed = {*tla.sorts_of(system), *tla.constants_of(system)}
    missing = sorted(needed - {*sizes, *constants})
    if missing:
        raise ValueError(f"{system.name}: how many {', '.join(missing)}? (--sort, --const)")
    if kind == "configuration":
        sys.stdout.write(tla.configuration(system, sizes, constants))
        return 0
    text = promela.model(Instance(system, sizes, constants))
    if kind == "promela":
        sys.stdout.write(text)
        return 0
    with tempfile.TemporaryDirectory() as directory:
        result = promela.verify(text, Path(directory))
    verdict = "violated" if result.violated else "holds" if result.complete else "cut off"
    sys.stdout.write(f"{system.name}: {verdict}, {result.states} states (SPIN counts one more)\n")
    return 0 if result.complete else 1


def _numbers(given: Iterable[str], known: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in given:
        name, equals, number = text.partition("=")
        if not equals or not number.isdecimal():
            raise ValueError(f"{text!r}: write Name=number")
        if name not in known:
            raise ValueError(f"{text!r}: there is no {name}; known: {', '.join(known)}")
        found[name] = int(number)
    return found
