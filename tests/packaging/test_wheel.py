"""The wheel: it holds all that the packages read, and runs from an empty folder."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import httpx
import pytest

from metanode import __version__
from metanode.devnet.local_network import free_ports
from metanode.runtime.operator.page import page
from tests.integration.support import wait_until
from tests.packaging.support import PACKAGES, ROOT, Installed, build
from tools.tidy import tracked_files

ABOVE = {"model_checks/findings_table.py"}
"""Modules that look outside their package, and say it when nothing is there."""


def content(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Catches a page, a style, a dashboard or a vector that stays behind when it is installed."""
    tracked = [name for name in tracked_files(ROOT) if name.split("/")[0] in PACKAGES]
    assert "metanode/runtime/operator/page/page.html" in tracked
    held = content(wheel)
    assert {name: (ROOT / name).read_bytes() for name in tracked} == {
        name: data for name, data in held.items() if name.split("/")[0] in PACKAGES
    }


def test_sdist_and_tree_make_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Catches a file that the sdist leaves out, or one that only lies about in the tree."""
    assert content(wheel) == content(build("wheel", ROOT, tmp_path / "built"))


def test_the_sdist_brings_tests_tools_and_no_more(source: Path) -> None:
    """Catches a lock that is not there to build from, and files of one machine that are."""
    names = {entry.name for entry in source.iterdir()}
    assert (source / "tools" / "requirements.lock").is_file()
    made = {"PKG-INFO", ".gitignore"}
    assert names - made == {*PACKAGES, "tests", "tools", "pyproject.toml", "README.md"}


def climbs(text: str) -> int:
    """Return how many folders up from itself a module looks at most, by what it says."""
    found = [0]
    for chained in re.findall(r"__file__\)(?:\.resolve\(\))?((?:\.parent\b(?!s))+)", text):
        found.append(chained.count(".parent"))
    found += [int(n) + 1 for n in re.findall(r"__file__\).*?\.parents\[(\d+)\]", text)]
    return max(found)


def test_no_module_reads_what_lies_outside_its_package() -> None:
    """Catches a file that is found in a checkout, and above the installed packages is not."""
    assert climbs("Path(__file__).resolve().parent.parent / x") == 2
    assert climbs("Path(__file__).parents[3]") == 4
    outside = {
        name for name in tracked_files(ROOT) if name.split("/")[0] in PACKAGES
        and name.endswith(".py")
        and climbs((ROOT / name).read_text(encoding="utf-8")) > name.count("/")
    }
    assert outside == ABOVE


def test_every_module_is_imported_from_the_wheel(installed: Installed) -> None:
    """Catches a module that needs the checkout, its tests or its tools."""
    program = (
        "import importlib, json, pkgutil, sys\n"
        "import spec, metanode, model_checks\n"
        "for top in (spec, metanode, model_checks):\n"
        "    for found in pkgutil.walk_packages(top.__path__, top.__name__ + '.'):\n"
        "        if not found.name.endswith('__main__'):\n"
        "            importlib.import_module(found.name)\n"
        "print(json.dumps([top.__file__ for top in (spec, metanode, model_checks)]))\n"
        "print(json.dumps(sorted({'tests', 'tools', 'pytest'} & set(sys.modules))))\n"
    )
    done = installed.run("python", "-c", program)
    assert done.returncode == 0, done.stderr
    files, strangers = map(json.loads, done.stdout.splitlines())
    assert all(Path(file).is_relative_to(installed.packages) for file in files), files
    assert strangers == []


def test_the_model_checks_run_from_the_wheel(installed: Installed) -> None:
    """Catches checks that look for files of the checkout, or take a lack of them for a fault."""
    for words in (
        ("check", "--tables"), ("check", "--fast", "--only", "two_phase_commit"),
        ("findings", "--only", "F-07"),
    ):
        done = installed.run("python", "-m", "model_checks", *words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert "not here" in done.stdout


@pytest.mark.parametrize("prover", ["z3", "cvc5"])
def test_without_a_prover_the_checks_say_what_to_install(
    installed: Installed, prover: str
) -> None:
    """Catches a traceback where the provers were not installed, which a node does not need."""
    absent = installed.environment / f"without {prover}"
    absent.mkdir()
    (absent / f"{prover}.py").write_text(f"raise ModuleNotFoundError('none', name={prover!r})")
    done = installed.run(
        "python", "-m", "model_checks", "check", "--fast", "--only", "two_phase_commit",
        PYTHONPATH=str(absent),
    )
    assert done.returncode == 2, (done.stdout, done.stderr)
    wanted = f"model_checks: the prover {prover} is not installed: pip install z3-solver cvc5"
    assert done.stderr.splitlines()[-1] == wanted


def test_traces_are_judged_without_a_prover(installed: Installed) -> None:
    """Catches a demo that ends with an error where the provers are not installed."""
    program = (
        "import sys; sys.modules['z3'] = sys.modules['cvc5'] = None\n"
        "import model_checks.conformance, metanode.cli.demo\n"
    )
    done = installed.run("python", "-c", program)
    assert done.returncode == 0, done.stderr


def test_a_node_runs_from_the_wheel(installed: Installed) -> None:
    """Catches an installed program that needs root, a home directory, a locale or the checkout."""
    said = installed.run("metanode", "--version")
    assert said.stdout.split() == ["metanode,", "version", __version__]
    port, nobody = free_ports(2)
    made = installed.run(
        "metanode", "init", "--home", "n 1", "--preset", "devnet", "--keygen-until", 1,
        "--listen", f"127.0.0.1:{port}", "--rpc-url", f"http://127.0.0.1:{nobody}",
        "--stake-outpoint", "ab" * 32 + ":0", "--new-passphrase-file", "n 1.pass",
    )
    assert made.returncode == 0, made.stderr
    output = installed.folder / "output"
    node = installed.start(output, "metanode", "run", "--home", "n 1")
    try:
        admin = installed.folder / "n 1" / "admin.json"
        wait_until("an admin port", lambda: admin.exists() or node.poll() is not None)
        assert node.poll() is None, output.read_text()
        status = installed.run("metanode", "status", "--home", "n 1", "--json")
        assert json.loads(status.stdout)["phase"] in ("Idle", "Keygen")
        shown = installed.run("metanode", "page", "--home", "n 1")
        assert shown.returncode == 0, shown.stderr
        base = shown.stdout.partition("/#")[0]
        with httpx.Client(base_url=base, trust_env=False) as client:
            assert client.get("/").content == page()[0]
            assert client.get("/livez").json()["alive"]
            assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
        node.terminate()
        assert node.wait(30) == 0
    finally:
        node.kill()
        node.wait()
