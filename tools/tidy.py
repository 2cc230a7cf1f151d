#!/usr/bin/env python3
"""The house style that no linter knows, checked over the files git would commit.

Run alone it prints one line per breach and exits 1; the tests call :func:`breaches`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100
TOP_LEVEL = frozenset(
    {"spec", "metanode", "model_checks", "tests", "tools", "pyproject.toml", "README.md"}
)
# Packages whose checks must survive `python -O`, which drops `assert`.
ASSERT_FREE = ("metanode/", "spec/")
SPEC_MAY_IMPORT = frozenset(sys.stdlib_module_names) | {"attr", "attrs", "spec"}
CODE_SUFFIXES = frozenset({".py", ".toml", ".sh", ".cfg", ".cddl"})
SKIPPED_DIRECTORIES = frozenset({".git", ".venv", "__pycache__", "build", "dist"})
# A path of one machine, or the address of a package registry, makes the tree work in one place
# only. The hosts are spelt in halves so that this file does not report itself.
MACHINE_TEXT = (
    ("machine path", re.compile(r"(?<![\w.~<-])/(?:work|root|Users|opt|home)/[\w.-]+")),
    (
        "registry host",
        re.compile(
            "|".join(
                re.escape(f"{first}.{second}")
                for first, second in (
                    ("pypi", "org"),
                    ("pythonhosted", "org"),
                    ("npmjs", "org"),
                    ("anaconda", "org"),
                    ("crates", "io"),
                )
            )
        ),
    ),
)


def tracked_files(root: Path) -> list[str]:
    """Return the files git tracks or would add, as posix paths; every file when there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists():
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        names = {name for name in done.stdout.split("\0") if name}
    else:
        found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        hidden = SKIPPED_DIRECTORIES
        names = {
            path.as_posix()
            for path in found
            if not hidden.intersection(path.parts) and not path.parts[0].endswith("_cache")
        }
    return sorted(name for name in names if (root / name).is_file())


def top_level(names: list[str]) -> Iterator[str]:
    """Yield a breach for each entry that the fixed top level does not hold."""
    for entry in sorted({name.split("/", 1)[0] for name in names}):
        if not entry.startswith(".") and entry not in TOP_LEVEL:
            yield f"{entry}: not part of the fixed top level"


def text_breaches(name: str, text: str) -> Iterator[str]:
    """Yield breaches that show in the plain text: long lines, tabs, machine paths, registries."""
    is_code = Path(name).suffix in CODE_SUFFIXES
    is_vector = "/vectors/" in name
    for number, line in enumerate(text.splitlines(), start=1):
        if is_code and not is_vector and len(line) > MAX_COLUMNS:
            yield f"{name}:{number}: {len(line)} columns, {MAX_COLUMNS} allowed"
        if is_code and line != line.rstrip():
            yield f"{name}:{number}: space at the end of the line"
        for what, pattern in MACHINE_TEXT:
            found = pattern.search(line)
            if found:
                yield f"{name}:{number}: {what} {found.group()}"


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function takes from its ``def`` on, its docstring not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def imported_names(node: ast.AST) -> list[str]:
    """Return the top-level package names that an import statement brings in."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".", 1)[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [(node.module or "").split(".", 1)[0]]
    return []


def module_breaches(name: str, text: str) -> Iterator[str]:
    """Yield breaches of one Python module: its length, its functions, asserts, spec's imports."""
    lines = len(text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{name}: {lines} lines, {MAX_MODULE_LINES} allowed"
    for node in ast.walk(ast.parse(text, filename=name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = function_lines(node)
            if length > MAX_FUNCTION_LINES:
                where = f"{name}:{node.lineno}: {node.name}"
                yield f"{where} has {length} lines, {MAX_FUNCTION_LINES} allowed"
        if isinstance(node, ast.Assert) and name.startswith(ASSERT_FREE):
            yield f"{name}:{node.lineno}: assert vanishes under python -O; raise instead"
        if name.startswith("spec/"):
            for package in imported_names(node):
                if package not in SPEC_MAY_IMPORT:
                    line = getattr(node, "lineno", 0)
                    yield f"{name}:{line}: spec imports {package}; it may import stdlib and attrs"


def breaches(root: Path = ROOT) -> list[str]:
    """Return one line per breach in the tree under ``root``; empty when all is tidy."""
    names = tracked_files(root)
    found = list(top_level(names))
    for name in names:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text: a picture or a binary vector
        found.extend(text_breaches(name, text))
        if name.endswith(".py"):
            found.extend(module_breaches(name, text))
    return found


def main() -> int:
    """Print the breaches; exit code 1 when there is one."""
    found = breaches()
    for breach in found:
        print(breach)
    print(f"tidy: {len(found)} breaches" if found else "tidy: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
