"""The table of messages: whole, true, and safe to follow; and the lines that nothing else provokes.

``tests/messages.json`` has every message that an operator can see as an error, with cause, remedy
and the test that provokes it; ``python -m tests.messages`` prints what it lacks.
"""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metanode.cli.main import outside_fault
from metanode.errors import MetanodeError, UserError
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.home.wiring import rpc_password
from metanode.runtime.secrets.keystore import Passphrase
from metanode.runtime.store import faults
from metanode.runtime.store.files import make_directory
from tests.cli.conftest import Run
from tests.messages import ROOT, in_code, in_table, missing, pattern
from tests.runtime.support import PASSPHRASE, config
from tests.support import refused

UNPROVOKED = 39
"""Messages without a test: what must be seen to be believed. This number may only go down."""

OLD = re.compile(r"\bolder|restore|back-?up|previous", re.IGNORECASE)
SAFE_WITH_OLD = (
    "identity.key", "share", "sealed", "passphrase", "altered", "key file", "config",
    "is older than the", "comes from another copy", "epoch", "keyshares", "backup",
)
"""What an operator may take from a backup: never a store of what was signed."""
STORES = ("signing log", "event store", "signing_log", "events.sqlite", "history")


def test_every_message_stands_in_the_table() -> None:
    """Catches a new line that nobody thought through: cause, remedy, and a test that provokes it.
    """
    assert missing() == [], "run python -m tests.messages, and give it a row"
    known = {(message.file, message.text) for message in in_code()}
    stale = [row["text"] for row in in_table() if (row["file"], row["text"]) not in known]
    assert stale == []


def test_every_message_has_a_cause_a_remedy_and_a_test() -> None:
    """Catches a row without a remedy, and a test that is named and is not there."""
    unprovoked = []
    for row in in_table():
        assert row["cause"], row
        assert row["remedy"], row
        if not row["test"]:
            unprovoked.append(row["text"])
            continue
        file, _, name = row["test"].partition("::")
        found = ast.walk(ast.parse((ROOT / file).read_text()))
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        assert name.rpartition("::")[2] in {n.name for n in found if isinstance(n, kinds)}
    assert len(unprovoked) <= UNPROVOKED, unprovoked


def test_no_message_leads_to_an_older_store() -> None:
    """Catches a line that, when it is followed, can make the node sign twice.

    Lines about the stores may name an older copy only where the node itself checks what is put
    back, and every way that they offer is followed in ``test_lost_history``.
    """
    for row in in_table():
        text = row["text"]
        if not any(word in text.lower() for word in STORES):
            assert not OLD.search(text) or any(word in text for word in SAFE_WITH_OLD), text
            continue
        if "put" in text and "back" in text:
            own = "put this node's own" in text or "put the file itself back" in text
            assert own or "this node checks" in text, text
        assert "restore" not in text, text


def test_a_row_matches_what_is_said() -> None:
    """Catches a pattern that fits nothing, or everything."""
    form = pattern("cannot write {}: {}")
    assert form.fullmatch("cannot write a.b: the disk is full")
    assert not form.fullmatch("cannot read a.b: the disk is full")
    assert pattern("(2*{} > 1)?").fullmatch("(2*7 > 1)?")


# --- lines that need no more than a wrong word ----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("chain", "--data", "{new}", "--interval", "-1"), "give 0 to 86400 seconds"),
        (("demo", "--kill-seeds", "x"), "write 7, 1-20 or 1,4,9-12"),
        (("demo", "--kill-seeds", "1-9999"), "seeds are allowed"),
        (("demo", "--keep", "{full}"), "give a new folder to --keep"),
        (("demo", "--kill-seeds", "3", "--watch"), "give one of them"),
        (("init", "--home", "{new}", "--listen", "127.0.0.1:1", "--passphrase-file", "{file}",
          "--new-passphrase-file", "{new}"), "exclude each other: give one"),
        (("init", "--home", "{new}", "--listen", "127.0.0.1:1", "--network-file", "{flat}"),
         "is a value, not a section: write [network]"),
    ],
)
def test_a_wrong_word(
    arguments: tuple[str, ...], complaint: str, run: Run, tmp_path: Path
) -> None:
    """Catches a wrong option that is no single line, or that makes something."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("here")
    (tmp_path / "flat").write_text("network = 1\n")
    names = {name: tmp_path / name for name in ("new", "full", "flat")}
    names["file"] = tmp_path / "full" / "file"
    refused(run(*(argument.format(**names) for argument in arguments)), complaint)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Passphrase(b""), "the passphrase is empty"),
        (lambda: Passphrase(b"x" * 100_000), "the passphrase is longer than"),
        (lambda: make_directory(Path("/dev/null/x")), "cannot create the directory"),
    ],
)
def test_a_wrong_value(make: Callable[[], object], complaint: str) -> None:
    """Catches a value that is taken although nothing can be done with it."""
    with pytest.raises(UserError, match=complaint):
        make()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no colon", "set chain.rpc_user, or name the daemon's .cookie file"),
        (b"\xff\xfe", "is no text"),
        (None, "is the chain daemon up?"),
    ],
)
def test_a_wrong_cookie(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    """Catches a daemon's password file that is taken for a password, or a traceback."""
    home = Home(tmp_path / "home")
    create_home(home, config(), PASSPHRASE)
    if content is not None:
        (home.path / "cookie").write_bytes(content)
    with pytest.raises(MetanodeError, match=re.escape(complaint)):
        rpc_password(home, config("chain.rpc_password_file", "cookie"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "there is no memory left: free some"),
        ("é".encode, "the terminal cannot show '\\xe9': set LC_ALL=C.UTF-8"),
        (OSError(errno.ENOSPC, "x", "/a"), "/a cannot be used: No space left on device"),
        (OSError(errno.EPIPE, "x"), "input or output fails: Broken pipe: "),
        (ValueError("ours"), None),
        (OSError("no number: ours"), None),
    ],
)
def test_a_fault_outside_has_its_line(error: object, line: str | None) -> None:
    """Catches a fault of the machine that is called a defect, and a defect that is called none."""
    if callable(error):
        with pytest.raises(UnicodeEncodeError) as caught:
            error("ascii")
        error = caught.value
    assert isinstance(error, BaseException)
    found = outside_fault(error)
    assert found is None if line is None else str(found).startswith(line)


def test_whose_file_it_is(tmp_path: Path) -> None:
    """Catches a line about permissions that does not say how to get them."""
    refusal = OSError(errno.EACCES, "Permission denied")
    mine = faults.remedy(tmp_path, refusal)
    mend = f"run chmod u+rwX {tmp_path}"
    assert mine == f"Permission denied: the mode of {tmp_path} forbids it: {mend}"
    if os.geteuid():
        assert "run this as its owner" in faults.remedy(Path("/proc/1"), refusal)
