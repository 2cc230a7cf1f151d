"""Check the protocol, or a spec of your own. Exit code 0: all holds; 1: something is violated or
has changed; 2: misuse."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_checks.console import Unusable, table, write
from spec.language.assembly import Protocol
from spec.protocol import PROTOCOL

if TYPE_CHECKING:  # loaded when used: it needs a prover, which may not be installed
    from model_checks.tables import Report

DEFAULT_MAX_STATES = 20_000_000
EXPLORER_MAX_STATES = 2_000_000
"""Fewer: somebody waits in front of the page."""
PROVERS = ("z3", "cvc5")
"""What a node does not need, so that it is installed only when asked for."""


def lines(protocol: Protocol) -> tuple[list[str], bool]:
    """Return what to print about a protocol, and whether all is well."""
    from model_checks.tables import check_protocol

    reports, faults = check_protocol(protocol)
    printed = [_row("table", "states", "rows", "events", "undefined", "verdict")]
    for report in reports:
        printed.append(_line(report))
        printed += [f"  {fault}" for fault in report.faults]
    printed += faults
    return printed, not faults and not any(report.faults for report in reports)


def _line(report: Report) -> str:
    numbers = (report.states, report.rows, report.events, report.undefined)
    return _row(report.table, *(str(number) for number in numbers), report.verdict)


def _row(table_name: str, *cells: str) -> str:
    return f"{table_name:<12}" + "".join(f"{cell:>11}" for cell in cells[:-1]) + f"   {cells[-1]}"


def check(arguments: argparse.Namespace) -> int:
    """Check the tables, then every network; or a user's own spec, at a size, or for every size with
    --prove."""
    if arguments.prove:
        return prove_spec(arguments)
    if arguments.spec is not None:
        return check_spec(arguments)
    from model_checks import local_views

    told, well = lines(PROTOCOL)
    unsound = [*local_views.faults(PROTOCOL), *local_views.message_faults(PROTOCOL)]
    if not arguments.json:
        write(told)
        if well and not arguments.tables:
            write([*local_views.lines(PROTOCOL), *unsound])
    well = well and not unsound
    if arguments.tables or not well:
        if arguments.json:
            write([json.dumps({"tables": told, "holds": well})])
        return 0 if well else 1
    return check_networks(arguments)


def check_networks(arguments: argparse.Namespace) -> int:
    """Run every network with every engine, compared with the pinned numbers."""
    from model_checks import cases, runner
    from model_checks.models import MODELS

    selection = runner.Selection(
        arguments.deep, arguments.only, arguments.max_states, arguments.workers
    )
    verdicts = []
    for verdict in runner.run(selection):
        verdicts.append(verdict)
        if not arguments.json:
            sys.stderr.write(f"{' '.join(verdict.row())}\n")
    if arguments.update:
        counted = {v.name: v.counts for v in verdicts if v.counts is not None}
        write(cases.update(MODELS, counted) or ["the pinned numbers are as they were"])
        return 0
    wrong = [verdict for verdict in verdicts if not verdict.as_expected]
    if arguments.json:
        told = [verdict.as_json() for verdict in verdicts]
        write([json.dumps({"holds": not wrong, "models": told})])
        return 1 if wrong else 0
    write(table([runner.HEADINGS, *(verdict.row() for verdict in verdicts)]))
    for verdict in wrong:
        write(runner.fault_lines(verdict))
    write([f"{len(verdicts) - len(wrong)} of {len(verdicts)} as expected"])
    return 1 if wrong else 0


def check_spec(arguments: argparse.Namespace) -> int:
    """Check a user's own spec."""
    from model_checks import user_spec
    from model_checks.traces import Traces

    spec = user_spec.spec_of(Path(arguments.spec))
    instance = spec.instance(arguments.sort, arguments.const)
    symmetry = tuple(arguments.symmetry) or spec.said.symmetry
    if arguments.symmetry == [NO_SYMMETRY]:
        symmetry = ()
    result, left = user_spec.run(instance, symmetry, arguments.records, arguments.max_states)
    if arguments.json:
        write([json.dumps(user_spec.as_json(instance, result, left))])
    else:
        traces = Traces(instance)
        write(user_spec.summary(instance, result, left))
        for trace in traces.violated(result):
            write(trace.lines())
        for trace in traces.reached(result) if arguments.traces else ():
            write(trace.lines())
    return 0 if user_spec.holds(instance, result, left) else 1


def prove_spec(arguments: argparse.Namespace) -> int:
    """Prove the invariants of a user's own spec for every size."""
    from model_checks.user_proof import UserProver
    from model_checks.user_spec import spec_of

    if arguments.spec is None:
        raise Unusable("--prove: give a FILE with a NETWORK; the networks here are proved by check")
    spec = spec_of(Path(arguments.spec))
    if arguments.symmetry:
        raise Unusable("--prove: symmetry makes a search smaller, a proof has no use for it")
    sizes, constants = spec.numbers(arguments.sort, arguments.const)
    proof = UserProver(spec, sizes, constants).prove()
    write([json.dumps(proof.as_json())] if arguments.json else proof.lines())
    return 0 if proof.holds else 1


def explore(arguments: argparse.Namespace) -> int:
    """Step through a spec, or through a network here, by hand; or through the traces of nodes."""
    from model_checks.explore import explore as walk
    from model_checks.explore import subject_of

    if bool(arguments.trace) == (arguments.spec is not None):
        raise Unusable("explore: give a spec, or the traces of nodes with --web --trace")
    if arguments.web:
        return serve(arguments)
    if arguments.trace:
        raise Unusable("explore: traces are shown by the page: add --web")
    walk(subject_of(arguments.spec, arguments.sort, arguments.const).instance, input, write)
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Serve the page of one model, or of traces, until it is interrupted."""
    from model_checks.explore import subject_of
    from model_checks.explorer.model_view import ModelView
    from model_checks.explorer.server import Server
    from model_checks.explorer.trace_view import TraceView

    if arguments.trace:
        server = Server(TraceView(arguments.trace), arguments.port)
    else:
        subject = subject_of(arguments.spec, arguments.sort, arguments.const)
        server = Server(ModelView(subject, arguments.max_states), arguments.port)
    write([server.url, "for this machine only, until Ctrl-C"])
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            write([""])
    return 0


def findings(arguments: argparse.Namespace) -> int:
    """Print the findings with their evidence."""
    from model_checks import findings_table

    evidence = findings_table.Table()
    found = list(evidence.lines(arguments.only))
    if not found:
        raise Unusable(f"no finding is named {arguments.only!r}")
    wrong = [line for line in found if line.fault]
    if arguments.json:
        write([json.dumps([line.as_json() for line in found])])
    else:
        write(table([findings_table.HEADINGS, *(line.row() for line in found)]))
        write(evidence.shown() if arguments.traces else [])
        write([f"{len(found)} lines of evidence, {len(wrong)} faults"])
    return 1 if wrong else 0


def mutants(arguments: argparse.Namespace) -> int:
    """Break every row in every small way, and see that something notices."""
    from model_checks import mutants as scoring

    return scoring.main(arguments)


def conformance(arguments: argparse.Namespace) -> int:
    """Were the runs that nodes traced legal? See ``python -m model_checks.conformance --help``."""
    from model_checks.conformance import main as run

    return run(arguments.rest)


def export(arguments: argparse.Namespace) -> int:
    """Write a network in another tool's language; see ``python -m model_checks.export --help``."""
    from model_checks.export import main as run

    return run(arguments.rest)


def report(arguments: argparse.Namespace) -> int:
    """Write the report as a folder of pages; see ``python -m model_checks.report --help``."""
    from model_checks.report.__main__ import main as run

    return run(arguments.rest)


NO_SYMMETRY = "none"
"""What ``--symmetry`` says to leave out the symmetry that a file asks for."""
SPEC_HELP = "a Python file with a NETWORK; for explore also the name of a network"
PASSED_ON = {"conformance": conformance, "export": export, "report": report}
"""Commands with a command line of their own."""


def _add_check_options(checks: argparse.ArgumentParser) -> None:
    tier = checks.add_mutually_exclusive_group()
    tier.add_argument("--tables", action="store_true", help="the tables only")
    tier.add_argument("--fast", action="store_true", help="what takes seconds: the default")
    tier.add_argument("--deep", action="store_true", help="everything")
    checks.add_argument("--only", default="", metavar="NAME", help="models with this in the name")
    checks.add_argument(
        "--json", action="store_true",
        help="for machines: one object, with the states of each run that was found",
    )
    checks.add_argument("--update", action="store_true", help="pin the numbers, show the change")
    checks.add_argument(
        "--prove", action="store_true",
        help="prove the invariants of a file for every size, with its lemmas (LEMMAS in the file,"
        " or of the network); --sort and --const then say where to look first for a small state"
        " that shows what is missing",
    )
    checks.add_argument(
        "--max-states", type=int, default=DEFAULT_MAX_STATES, metavar="N",
        help="stop, with exit code 2, beyond so many states of one model",
    )
    checks.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    checks.add_argument(
        "--symmetry", action="append", default=[], metavar="Peer",
        help="a sort whose individuals are interchangeable, one state for each orbit; otherwise"
        " what SYMMETRY in the file says; none: no symmetry",
    )
    checks.add_argument(
        "--records", default="Peer", metavar="SORT",
        help="the sort whose individuals have a record of bits each: with --symmetry of the same"
        " sort the records are sorted, which is fast for many individuals",
    )
    checks.add_argument("--traces", action="store_true", help="show the runs to witnesses as well")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m model_checks", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], spec: str | None
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        if spec is not None:
            added.add_argument("spec", nargs=spec or None, help=SPEC_HELP)
            added.add_argument(
                "--sort", action="append", default=[], metavar="Peer=5",
                help="how many individuals a sort has; otherwise what SIZES in the file says",
            )
            added.add_argument(
                "--const", action="append", default=[], metavar="T=4",
                help="what a constant is; otherwise what CONSTANTS in the file says",
            )
        return added

    checks = command("check", check, "?")
    _add_check_options(checks)
    walks = command("explore", explore, "?")
    walks.add_argument("--web", action="store_true", help="as a page, for a browser here")
    walks.add_argument("--port", type=int, default=0, metavar="N", help="of the page; any")
    walks.add_argument(
        "--trace", action="append", default=[], type=Path, metavar="HOME/trace",
        help="a node's trace, instead of a spec; once for each node",
    )
    walks.add_argument("--max-states", type=int, default=EXPLORER_MAX_STATES, metavar="N")
    table_of = command("findings", findings, None)
    table_of.add_argument("--only", default="", metavar="F-14")
    table_of.add_argument("--json", action="store_true", help="for machines")
    table_of.add_argument("--traces", action="store_true", help="show what refutes, with states")
    scored = command("mutants", mutants, None)
    scored.add_argument("--fast", action="store_true", help="a sample that takes seconds")
    scored.add_argument("--sample", type=int, default=0, metavar="N", help="so many, at random")
    scored.add_argument("--seed", type=int, default=1, metavar="S")
    scored.add_argument("--only", default="", metavar="NAME", help="mutants with this in the name")
    scored.add_argument("--json", action="store_true", help="for machines")
    for name, run in PASSED_ON.items():
        commands.add_parser(name, help=run.__doc__, add_help=False).set_defaults(run=run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    passed_on = bool(given) and given[0] in PASSED_ON
    parsed = parser().parse_args(given[:1] if passed_on else given)
    parsed.rest = given[1:]
    try:
        return int(parsed.run(parsed))
    except Unusable as error:
        sys.stderr.write(f"model_checks: {error}\n")
        return 2
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in PROVERS:
            raise
        sys.stderr.write(
            f"model_checks: the prover {missing.name} is not installed: "
            "pip install z3-solver cvc5\n"
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
