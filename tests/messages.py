"""Every message that an operator can see as an error, as it stands in the code.

``python -m tests.messages`` prints those that ``messages.json`` lacks. With ``-p tests.messages`` a
test run notes which test has seen which message, in the file that METANODE_MESSAGES names; ``python
-m tests.messages FILE...`` then writes the table anew, with what such files tell.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import frozen

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "messages.json"
PLACES = ("cli", "runtime", "chains", "protocol/requests", "protocol/payouts", "protocol/blame")
ERRORS = ("UserError", "Unavailable", "HistoryConflict", "Damaged", "Unfit")
HOLE = "{}"
TELLERS = ("gone", "_owners", "outside_fault", "sqlite_remedy", "remedy", "loopback_fault",
           "_not_running")
"""Functions that return the line of an error, or a part of one."""


@frozen
class Message:
    """One place in the code: the file, its text with holes, and the lines of the statement."""

    file: str
    text: str
    lines: tuple[int, int]


def in_code() -> list[Message]:
    """Return every message in the order of the code."""
    files = sorted({f for place in PLACES for f in (ROOT / "metanode" / place).rglob("*.py")})
    found = [message for file in files for message in _in_file(file)]
    return list({(m.file, m.text, m.lines): m for m in found}.values())


def _in_file(file: Path) -> Iterator[Message]:
    name = str(file.relative_to(ROOT))
    module = import_module(name.removesuffix(".py").replace("/", "."))
    words = {key: value for key, value in vars(module).items() if isinstance(value, str)}
    tree = ast.parse(file.read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        told = _returned(function) if function.name in TELLERS else list(_raised(function))
        for node in told:
            if (text := _text(node, words)).strip("{}: ") not in ("", "None"):
                yield Message(name, text, (node.lineno, node.end_lineno or node.lineno))


def _raised(function: ast.AST) -> Iterator[ast.expr]:
    """Yield the texts of the errors that a function makes, also those that it has named before."""
    nodes = list(ast.walk(function))
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if called not in ERRORS or not node.args:
            continue
        text = node.args[0]
        if not isinstance(text, ast.Name):
            yield text
            continue
        for other in nodes:
            if isinstance(other, ast.Assign) and ast.unparse(other.targets[0]) == text.id:
                yield other.value


def _returned(function: ast.AST) -> list[ast.expr]:
    """Return the texts that a function returns."""
    return [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value]


def _text(node: ast.expr, words: Mapping[str, str]) -> str:
    """Return the text that an expression gives, with a hole for what is known at run time only."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return words.get(node.id, HOLE)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, words)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, words) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, words) + _text(node.right, words)
    return HOLE


def in_table() -> list[dict[str, Any]]:
    """Return the entries of the table: file, text, cause, remedy, tests."""
    entries: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return entries


OF_THE_SYSTEM = "the line ends with what the system said, and what is done about it: faults.py"
OF_THE_PLACE = {
    "metanode/chains/own_coins.py": "take a daemon of a known version, without a proxy",
    "metanode/chains/": "the node tries again; take a daemon of a known version, without a proxy",
    "metanode/runtime/store/chain_index.py": "nothing: the index is made anew",
    "metanode/runtime/net/": "correct the name or the address; the node tries again",
    "metanode/protocol/payouts/releases.py": "use `custody release`",
    "metanode/runtime/operator/desk.py": "use `custody release`",
    "metanode/runtime/secrets/": "restore the file from a backup",
    "metanode/runtime/operator/backup.py": "the line ends with the mend",
    "metanode/protocol/requests/": "the line ends with the mend",
    "metanode/runtime/store/faults.py": "the line is the mend",
    "metanode/runtime/store/sqlite.py": "what the store's own line says",
}
"""What is done about a line that says it only where it is a part of another one, or not at all."""


_OWN, _FAULTS = "tests/cli/test_messages.py::", "tests/runtime/store/test_faults.py::"
BY_HAND = {
    "there is no memory left": _OWN + "test_a_fault_outside_has_its_line",
    "the terminal cannot show": _OWN + "test_a_fault_outside_has_its_line",
    "{} cannot be used": _OWN + "test_a_fault_outside_has_its_line",
    "input or output fails": _OWN + "test_a_fault_outside_has_its_line",
    "{}: look at the kernel": _FAULTS + "test_every_cause_of_the_kernel_has_a_line",
    "the mode of {} forbids": _OWN + "test_whose_file_it_is",
    "{} belongs to {}, this is": _FAULTS + "test_a_foreign_owner_is_named",
    "cannot write {}: the disk is full": _FAULTS + "test_a_running_node_says_that_the_disk_is_full",
}
"""Lines that are returned, not raised, or that only a process of its own says."""


def parts(file: str, text: str) -> tuple[str, str]:
    """Return cause and remedy: what stands before and after the last colon or semicolon."""
    for mark in ("; ", ": "):
        cause, found, remedy = text.rpartition(mark)
        if found and len(remedy) > len(HOLE):
            return cause, remedy
    system = ("cannot ", "{}-wal or", "{} cannot be used", "input or output")
    if text.startswith(system) and text.endswith(HOLE) and "chains/" not in file:
        return text, OF_THE_SYSTEM
    return text, next((said for place, said in OF_THE_PLACE.items() if file.startswith(place)), "")


# --- who provokes it ------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Note the place of each error that is made, and the test that runs (a pytest plugin)."""
    from metanode import errors

    target, seen = os.environ.get("METANODE_MESSAGES"), set()
    if target is None:
        return
    stream = open(target, "a", encoding="utf-8")  # noqa: SIM115 - until the process ends
    whole = errors.MetanodeError.__init__

    def noted(self: errors.MetanodeError, *arguments: Any) -> None:
        whole(self, *arguments)
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].partition("[")[0]
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(str(ROOT / "metanode")):
            if frame.f_back is None:
                return
            frame = frame.f_back
        name = str(Path(frame.f_code.co_filename).relative_to(ROOT))
        place = (name, frame.f_lineno, test)
        if test and arguments and place not in seen:
            seen.add(place)
            stream.write(json.dumps([name, str(arguments[0]), test]) + "\n")
            stream.flush()

    errors.MetanodeError.__init__ = noted  # type: ignore[method-assign]


def pattern(text: str) -> re.Pattern[str]:
    """Return what a message looks like when its holes are filled."""
    return re.compile(".*".join(re.escape(part) for part in text.split(HOLE)), re.DOTALL)


def _tests_of(message: Message, seen: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the tests that have seen a message, those of its own module first."""
    form = pattern(message.text)
    own = {test for name, said, test in seen if name == message.file and form.fullmatch(said)}
    part = {test for _, said, test in seen if form.search(said)}  # of a line that others begin
    tests = sorted(own or part)
    near = [t for t in tests if f"test_{Path(message.file).name}" in t]
    return near + tests


def write(files: Sequence[str]) -> None:
    """Write the table; tests that it names already stay while they exist."""
    seen = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    known: dict[tuple[str, str], str] = {}
    if TABLE.exists():
        known = {(each["file"], each["text"]): each["test"] for each in in_table()}
    rows, done = [], set()
    for message in in_code():
        key = message.file, message.text
        if key in done:
            continue
        done.add(key)
        by_hand = [t for begin, t in BY_HAND.items() if message.text.startswith(begin)]
        test = (by_hand or _tests_of(message, seen) or [known.get(key, "")])[0]
        cause, remedy = parts(message.file, message.text)
        rows.append({"file": message.file, "text": message.text, "cause": cause, "remedy": remedy,
                     "test": test})
    TABLE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def missing() -> list[Message]:
    """Return the messages of the code that the table lacks."""
    known = {(each["file"], each["text"]) for each in in_table()}
    return [m for m in in_code() if (m.file, m.text) not in known]


def main(arguments: Sequence[str]) -> int:
    """Write the table from files, or print what it lacks."""
    if arguments:
        write(arguments)
    for message in missing():
        sys.stdout.write(f"{message.file}:{message.lines[0]}: {message.text}\n")
    return int(bool(missing()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
