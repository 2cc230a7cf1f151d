"""The command line: every kind of bad input is one line and exit code 2, never a traceback."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanode.cli import main as cli_main
from metanode.cli.init import build_config
from metanode.cli.main import COMMANDS
from metanode.errors import LocalFault, UserError
from metanode.runtime.home.config import Config, load_config
from metanode.runtime.home.home import Home
from metanode.runtime.home.wiring import chain_parameters
from metanode.runtime.secrets.keystore import Passphrase, load_identity, read_passphrase_file
from spec.chains import CHAINS, Chain
from tests.cli.conftest import Run
from tests.runtime.support import ROOT
from tests.support import refused

OUTPOINT = "ab" * 32 + ":0"


@pytest.fixture
def home(tmp_path: Path, run: Run) -> Path:
    """A devnet home that is ready to run."""
    path = tmp_path / "home"
    code, _, errors = run(
        "init", "--home", path, "--preset", "devnet", "--stake-outpoint", OUTPOINT,
        "--new-passphrase-file", tmp_path / "passphrase",
    )
    assert (code, errors) == (0, "")
    return path


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Home, Config, Passphrase]]:
    """Stand in for the node itself: record what it is started with, exit with code 7."""
    started: list[tuple[Home, Config, Passphrase]] = []

    def run_node(home: Home, config: Config, passphrase: Passphrase) -> int:
        started.append((home, config, passphrase))
        return 7

    module = types.ModuleType("metanode.runtime.node")
    module.run_node = run_node  # type: ignore[attr-defined]  # a module made for this test
    monkeypatch.setitem(sys.modules, "metanode.runtime.node", module)
    return started


def test_help_names_every_command_and_loads_none() -> None:
    """Catches a help that is slow because it imports the node, or that misses a command."""
    probe = (
        "import sys; from metanode.cli.main import invoke; code = invoke(['--help']); "
        "heavy = {'sqlalchemy', 'cryptography', 'httpx', 'rich', 'trio', 'btclib', 'numpy'}; "
        "print(sorted(heavy & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[] 0\n")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert text.split(";")[0] in done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_help_of_each_command(run: Run, name: str) -> None:
    """Catches a command that cannot even be loaded."""
    code, output, _ = run(name, "--help")
    assert code == 0
    assert f"metanode {name}" in output


def test_init_prints_what_the_operator_needs(tmp_path: Path, run: Run) -> None:
    """Catches an `init` without node id, network id or the address to fund."""
    path = tmp_path / "home"
    code, output, _ = run(
        "init", "--home", path, "--preset", "devnet", "--peer", "127.0.0.1:7001",
        "--new-passphrase-file", tmp_path / "p",
    )
    assert code == 0
    config = load_config(path / "config.toml")
    passphrase = read_passphrase_file(tmp_path / "p")
    identity = load_identity(path / "identity.key", passphrase)
    assert f"node id:       {identity.node_id.hex()}" in output
    assert f"network id:    {config.network_id().hex()}" in output
    assert "stake address: bcrt1q" in output
    assert "next 1:        pay at least" in output
    assert "next 3:        after 72 h: metanode doctor" in output
    assert passphrase.secret.decode() not in output
    assert identity.secret_bytes().hex() not in output
    assert str(config.node.peers[0]) == "127.0.0.1:7001"


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_init_sets_all_that_differs_by_chain(chain: Chain) -> None:
    """Catches a number of one chain that stands in the configuration of another."""
    made = build_config({"chain": chain.name}, 0)
    section = made.chain
    assert (section.chain, section.hrp, section.confirmations, section.rpc_url) == (
        chain.name, chain.hrp, chain.confirmations, f"http://127.0.0.1:{chain.rpc_port}"
    )
    assert section.genesis() == chain.genesis
    assert chain_parameters(made).chains() == (chain,)


def test_a_network_is_of_one_chain() -> None:
    """Catches two networks with one id on chains that differ in nothing but their first block."""
    ids = {build_config({"chain": name}, 0).network_id() for name in CHAINS}
    assert len(ids) == len(CHAINS)
    ids.add(build_config({"hrp": "xyz"}, 0).network_id())
    assert len(ids) == len(CHAINS) + 1


@pytest.mark.parametrize(
    ("options", "chain"),
    [
        ({}, "bitcoin"), ({"preset": "devnet"}, "devnet"), ({"hrp": "ltc"}, "litecoin"),
        ({"hrp": "bcrt", "preset": "devnet"}, "devnet"), ({"hrp": "rltc"}, "litecoin-regtest"),
        ({"hrp": "xyz"}, None), ({"preset": "devnet", "chain": "litecoin"}, "litecoin"),
    ],
)
def test_a_prefix_or_a_preset_names_the_chain(options: dict[str, str], chain: str | None) -> None:
    """Catches a network whose chain is left open although there is only one that it can be."""
    assert build_config(options, 0).chain.chain == chain


def test_init_refuses_another_chain_than_the_network_file(
    tmp_path: Path, home: Path, run: Run
) -> None:
    """Catches a member that is told of two chains, takes one, and never finds its network."""
    code, _, errors = run(
        "init", "--home", tmp_path / "two", "--network-file", home / "config.toml",
        "--chain", "litecoin", "--passphrase-file", tmp_path / "passphrase",
    )
    assert code == 2
    assert errors.count("\n") == 1
    assert "--chain litecoin contradicts" in errors
    assert not (tmp_path / "two").exists()


def test_network_file_gives_the_same_network(tmp_path: Path, home: Path, run: Run) -> None:
    """Catches a member whose network id differs, or who takes another's private keys over."""
    code, _, errors = run(
        "init", "--home", tmp_path / "two", "--network-file", home / "config.toml",
        "--listen", "127.0.0.1:7001", "--passphrase-file", tmp_path / "passphrase",
    )
    assert (code, errors) == (0, "")
    first, second = load_config(home / "config.toml"), load_config(tmp_path / "two/config.toml")
    assert second.network_id() == first.network_id()
    assert second.stake.outpoint is None
    assert second.node.listen.port == 7001


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init"], "--home DIR is needed"),
        (["init", "--home", "H"], "no passphrase: give --passphrase-file"),
        (["init", "--home", "H", "--threshold", "2"], "2t-n > f must hold"),
        (["init", "--home", "H", "--members", "x"], "Invalid value for '--members'"),
        (["init", "--home", "H", "--chain", "dogecoin"], "Invalid value for '--chain'"),
        (["init", "--home", "H", "--chain", "litecoin", "--hrp", "bc"], "begin with ltc1, but hrp"),
        (["init", "--home", "H", "--hrp", "tb"], "give --chain, one of bitcoin-testnet, bitcoin-"),
        (["init", "--home", "H", "--peer", "nowhere"], "--peer: 'nowhere' is not host:port"),
        (["init", "--home", "H", "--seed", "a:0"], "network.seeds: 'a:0' is not host:port"),
        (["init", "--home", "H", "--listen", "7"], "node.listen: '7' is not host:port"),
        (["init", "--home", "H", "--network-file", "none"], "cannot read none"),
        (["init", "--home", "H", "--passphrase-file", "none"], "cannot read none"),
        (["run"], "--home DIR is needed"),
        (["run", "--home", "H"], "no home at H: make one with `init"),
        (["--home", "H"], "no home at H: make one with `init"),
        (["status", "--home", "H"], "no home at H"),
        (["chain", "--data", "D", "--listen", "0.0.0.0:1"], "is not a loopback address"),
        (["chain", "--data", "D", "--listen", "x"], "--listen: 'x' is not host:port"),
        (["chain", "--data", "D", "--auth-file", "none"], "cannot read none"),
        (["chain"], "Missing option '--data'"),
        (["unknown"], "No such command 'unknown'"),
        (["run", "--passphrase", "x"], "No such option"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, arguments: list[str], complaint: str
) -> None:
    """Catches bad input with a traceback, another exit code, or files left behind."""
    monkeypatch.chdir(tmp_path)
    refused(run(*arguments), complaint)
    assert list(tmp_path.iterdir()) == []


def test_second_init_is_refused(home: Path, tmp_path: Path, run: Run) -> None:
    """Catches an `init` that overwrites a node, or makes a passphrase file in vain."""
    before = (home / "identity.key").read_bytes()
    refused(run("init", "--home", home, "--new-passphrase-file", tmp_path / "q"), "exists already")
    assert (home / "identity.key").read_bytes() == before
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("form", [("run", "--home"), ("--home",)])
def test_run_starts_the_node(
    home: Path, run: Run, node: list[tuple[Home, Config, Passphrase]], form: tuple[str, ...]
) -> None:
    """Catches a run that does not hand home, configuration, passphrase and exit code through."""
    code, _, errors = run(*form, home)
    assert (code, errors) == (7, "")
    started_home, config, passphrase = node[0]
    assert started_home == Home(home)
    assert config == load_config(home / "config.toml")
    load_identity(home / "identity.key", passphrase)


def test_a_mainnet_node_on_the_loopback_is_warned_and_runs(
    home: Path, run: Run, node: list[tuple[Home, Config, Passphrase]]
) -> None:
    """Catches a member that nobody can dial, because the template's endpoint was left as it is."""
    text = (home / "config.toml").read_text()
    for name in ("preset", "chain", "hrp"):
        text = re.sub(rf"^{name} = .*", f"# {name}", text, flags=re.MULTILINE)
    text = text.replace("# preset\n", 'preset = "mainnet"\n').replace("# hrp\n", 'hrp = "x"\n')
    (home / "config.toml").write_text(text)
    code, _, errors = run("run", "--home", home)
    assert code == 7
    assert errors == (
        "warning: node.listen is 127.0.0.1:7000, which only this machine can reach: "
        "give an address that the other members can dial\n"
    )
    assert node


def test_seeds_go_from_member_to_member_and_need_not_be_equal(
    home: Path, tmp_path: Path, run: Run
) -> None:
    """Catches a new member that knows nobody, and members cut apart by what they ask first."""
    for name, seeds in (("two", ["--seed", "seeds.example.org:7000"]), ("three", [])):
        source = home if seeds else tmp_path / "two"
        code, _, errors = run(
            "init", "--home", tmp_path / name, "--network-file", source / "config.toml",
            "--passphrase-file", tmp_path / "passphrase", *seeds,
        )
        assert (code, errors) == (0, "")
    first, *others = (load_config(path / "config.toml") for path in (
        home, tmp_path / "two", tmp_path / "three"
    ))
    assert [str(seed) for seed in first.network.seeds] == []
    for other in others:
        assert [str(seed) for seed in other.network.seeds] == ["seeds.example.org:7000"]
        assert other.network_id() == first.network_id()


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda home: (home / "signing_log.sqlite").unlink(), "signing log missing"),
        (lambda home: (home.parent / "passphrase").chmod(0o644), "open to other users"),
        (lambda home: (home.parent / "passphrase").unlink(), "cannot read"),
        (
            lambda home: (home / "config.toml").write_text("[node]\nlistne = 1\n"),
            "unknown key node.listne",
        ),
        (
            lambda home: (home / "config.toml").write_text(
                (home / "config.toml").read_text().replace("threshold = 3", "threshold = 2")
            ),
            "2t-n > f must hold",
        ),
        (
            lambda home: (home / "config.toml").write_text(
                (home / "config.toml").read_text().replace("\noutpoint", "\n# outpoint")
            ),
            "stake.outpoint is missing",
        ),
    ],
)
def test_broken_home_does_not_start(
    home: Path,
    run: Run,
    node: list[tuple[Home, Config, Passphrase]],
    break_it: Callable[[Path], Any],
    complaint: str,
) -> None:
    """Catches a node that starts on a home it must refuse."""
    break_it(home)
    refused(run("run", "--home", home), complaint)
    assert node == []


def raising(error: BaseException) -> types.ModuleType:
    """Return a stand-in for the node that raises ``error``."""

    def run_node(*_arguments: object) -> int:
        raise error

    module = types.ModuleType("metanode.runtime.node")
    module.run_node = run_node  # type: ignore[attr-defined]  # a module made for this test
    return module


@pytest.mark.parametrize(
    "error",
    [
        UserError("port 7000 is in use:\nchoose another"),
        ExceptionGroup("tasks", [ExceptionGroup("inner", [UserError("port 7000 is in use: ...")])]),
    ],
)
def test_errors_of_the_node_are_one_line(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Catches an error that hides in the group a task group wraps around it."""
    monkeypatch.setitem(sys.modules, "metanode.runtime.node", raising(error))
    refused(run("run", "--home", home), "port 7000 is in use")


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), LocalFault("rule broken")])
def test_defect_names_the_log(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Catches a traceback on the terminal, and one that is lost."""
    monkeypatch.setitem(sys.modules, "metanode.runtime.node", raising(error))
    code, _, errors = run("run", "--home", home)
    assert code == cli_main.EXIT_DEFECT
    assert errors.count("\n") == 1
    assert type(error).__name__ in errors
    assert str(home / "node.log") in errors
    assert "Traceback" in (home / "node.log").read_text()


def test_interrupt_is_quiet(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a stack of lines after Ctrl-C."""
    monkeypatch.setitem(sys.modules, "metanode.runtime.node", raising(KeyboardInterrupt()))
    code, output, errors = run("run", "--home", home)
    assert (code, output, errors.strip()) == (130, "", "")


def test_status_prints_lines_and_json(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a status that an operator or a script cannot read."""
    from metanode.runtime.operator import admin

    document = {
        "state": "Idle",
        "chain": {"reachable": False, "tip": None},
        "peers": [{"id": "02ab", "listed": True}],
        "seen": [],
    }
    monkeypatch.setattr(admin, "fetch", lambda _home, _page: json.dumps(document).encode())
    code, output, _ = run("status", "--home", home)
    assert code == 0
    now = "unknown: the node is of another version, and does not tell 'key'"
    assert output == (
        f"now: {now}\n"
        "state: Idle\nchain:\n  reachable: no\n  tip: -\n"
        "peers:\n  - id: 02ab\n    listed: yes\nseen: -\n"
    )
    code, output, _ = run("status", "--home", home, "--json")
    assert json.loads(output) == {**document, "now": now}


def test_status_without_a_node(home: Path, run: Run) -> None:
    """Catches a traceback where no node runs."""
    refused(run("status", "--home", home), "no node runs on")


def test_chain_answers_and_ends_on_signal(tmp_path: Path) -> None:
    """Catches a devnet chain that does not say where it listens, or must be killed."""
    arguments = ["-m", "metanode", "chain", "--data", str(tmp_path / "c"), "--interval", "0"]
    with subprocess.Popen(
        [sys.executable, *arguments, "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as chain:
        assert chain.stdout is not None
        assert chain.stdout.readline().startswith("devnet chain on http://127.0.0.1:")
        chain.send_signal(signal.SIGTERM)
        started = time.monotonic()
        _, errors = chain.communicate(timeout=30)
        assert chain.returncode == 0, errors
        assert time.monotonic() - started < 30
