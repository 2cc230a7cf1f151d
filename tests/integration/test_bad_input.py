"""Bad input to real processes: one line on stderr, exit code 2, nothing changed."""

from __future__ import annotations

import hashlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from metanode.runtime.home.home import Home
from tests.integration.support import edit, metanode
from tests.support import refused

OUTPOINT = "ab" * 32 + ":0"
# What a start leaves behind before it looks at anything that can be wrong.
OF_NO_MATTER = {"node.lock", "node.log"}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good home, its passphrase, and another home."""
    folder = tmp_path_factory.mktemp("pattern")
    for name in ("home", "other"):
        done = metanode(
            "init",
            "--home",
            folder / name,
            "--preset",
            "devnet",
            "--stake-outpoint",
            OUTPOINT,
            "--listen",
            "127.0.0.1:0",
            "--new-passphrase-file",
            folder / f"{name}-passphrase",
        )
        assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture
def home(pattern: Path, tmp_path: Path) -> Home:
    """A copy of the good home; its passphrase file is the pattern's."""
    shutil.copytree(pattern, tmp_path / "copy")
    path = tmp_path / "copy" / "home"
    edit(
        path / "config.toml",
        "passphrase_file = .*",
        f'passphrase_file = "{tmp_path / "copy" / "home-passphrase"}"',
    )
    return Home(path)


def contents(folder: Path) -> dict[str, str]:
    """Return what is in every file below a folder, save empty files and what is of no matter."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in OF_NO_MATTER and path.stat().st_size
    }


def not_started(home: Home, complaint: str, *arguments: object) -> str:
    """Check that a start is refused in one line that says ``complaint``, and changes nothing."""
    before = contents(home.path)
    done = metanode("run", "--home", home.path, *arguments)
    refused((done.returncode, done.stdout, done.stderr), complaint)
    assert contents(home.path) == before
    if home.log.exists():
        assert "Traceback" not in home.log.read_text()
    return done.stderr


def replaced(pattern: str, line: str) -> Callable[[Home], None]:
    """Return what edits one line of the configuration."""
    return lambda home: edit(home.config, pattern, line)


def open_passphrase(home: Home) -> None:
    """Let everybody on the machine read the passphrase."""
    (home.path.parent / "home-passphrase").chmod(0o644)


def swap_logs(home: Home) -> None:
    """Put the signing log of another node in the place of this one's."""
    shutil.copy(home.path.parent / "other" / "signing_log.sqlite", home.signing_log)


def swap_identity(home: Home) -> None:
    """Put the identity of another node into this home, with its passphrase."""
    shutil.copy(home.path.parent / "other" / "identity.key", home.identity)
    shutil.copy(home.path.parent / "other-passphrase", home.path.parent / "home-passphrase")


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (replaced("keygen_until = .*", "keygen_untill = 1"), "unknown key network.keygen_untill"),
        (replaced("threshold = 3", "threshold = 2"), "2t-n > f must hold, but 2*2-4 = 0 <= 1"),
        (replaced("byzantine = 1", "byzantine = 2"), "2t-n > f must hold, but 2*3-4 = 2 <= 2"),
        (replaced("members = 4", "members = 2"), "but n = 2, t = 3, f = 1"),
        (replaced("outpoint = .*", "# no outpoint"), "stake.outpoint is missing"),
        (lambda home: home.signing_log.unlink(), "signing log missing"),
        (lambda home: home.events.unlink(), "event store missing"),
        (open_passphrase, "open to other users"),
        (swap_logs, "another node"),
        (swap_identity, "another node"),
    ],
    ids=[
        "unknown-key",
        "threshold",
        "byzantine",
        "members",
        "no-stake",
        "no-signing-log",
        "no-event-store",
        "open-passphrase",
        "foreign-log",
        "foreign-identity",
    ],
)
def test_a_broken_home_is_refused(
    home: Home, break_it: Callable[[Home], None], complaint: str
) -> None:
    """Catches a node that starts on a home it must refuse, or does not say what to mend."""
    break_it(home)
    said = not_started(home, complaint)
    if "key" in complaint or "hold" in complaint:
        assert str(home.config) in said


def test_a_wrong_passphrase_is_refused(home: Home, tmp_path: Path) -> None:
    """Catches a wrong passphrase that ends in a traceback or in a node with no key."""
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase of this home\n")
    wrong.chmod(0o600)
    said = not_started(home, "passphrase", "--passphrase-file", wrong)
    assert "not the passphrase" not in said


def test_without_a_passphrase_file_and_a_terminal(home: Home) -> None:
    """Catches a node that waits for ever for a passphrase which nobody can type."""
    edit(home.config, "passphrase_file = .*", "# passphrase_file")
    not_started(home, "no passphrase: give --passphrase-file")


def test_an_advertised_name_that_stands_for_nobody_is_refused(home: Home) -> None:
    """Catches a node that tells its peers a name which none of them can dial."""
    edit(home.config, "# advertise = .*", 'advertise = "nobody.invalid:7000"')
    said = not_started(home, "node.advertise: ")
    assert "nobody.invalid" in said
    assert "correct the name or its DNS record" in said


@pytest.mark.parametrize("section", ["node", "admin"])
def test_a_port_in_use_is_refused(home: Home, section: str) -> None:
    """Catches a node that runs without its port, or blames something else."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = home.config.read_text()
        head, mark, tail = text.partition(f"[{section}]\n")
        home.config.write_text(head + mark + tail.replace(':0"', f':{port}"', 1))
        said = not_started(home, "in use")
    assert str(port) in said
