"""``metanode history``: export, import, and every reason to refuse in one line."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from metanode.runtime.home.config import load_config
from metanode.runtime.home.home import Home, create_home
from metanode.runtime.home.owner import Owner
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.store.history import decode_history
from metanode.runtime.store.signing_log import SigningLog
from tests.cli.conftest import Run
from tests.runtime.store.history_vectors import D1, D2, ME, NETWORK, S1, event, history
from tests.runtime.support import PASSPHRASE, config
from tests.support import refused


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The stopped home of the node whose history the vectors tell."""
    place = Home(tmp_path / "home")
    made = create_home(place, config(), PASSPHRASE, lambda n: (1).to_bytes(n, "big"))
    assert made.node_id == ME.node_id
    return place


def own(home: Home, text: str) -> str:
    """Return a document for this home's network."""
    return text.replace(NETWORK.hex(), load_config(home.config).network_id().hex())


def votes(home: Home) -> dict[int, str]:
    """Return the votes of the home's log by attempt."""
    log = SigningLog.open(home.signing_log, ME.node_id)
    found = {attempt: digest.hex() for (_, attempt), digest in log.load().votes.items()}
    log.close()
    return found


def test_import_then_export(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches a round trip through both commands that loses a mark, and an open file mode."""
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    plain = history(event({3: D1, 4: D2}), sessions=[S1])
    source.write_text(own(home, json.dumps(plain)))
    code, said, _ = run("history", "import", "--home", home.path, source)
    assert code == 0
    assert said.splitlines()[0] == "in the file: 2 votes, 0 locks, 0 releases, 1 session"
    assert said.splitlines()[1] == "new here:    2 votes, 0 locks, 0 releases, 1 session"
    code, said, _ = run("--home", home.path, "history", "export", "--to", target)
    assert code == 0
    assert said.splitlines()[0] == (
        f"exported: 2 votes, 0 locks, 0 releases, 1 session to {target}"
    )
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    owner = Owner(load_config(home.config).network_id(), ME.node_id)
    assert decode_history(target.read_bytes(), owner) == decode_history(source.read_bytes(), owner)
    _, said, _ = run("history", "import", "--home", home.path, target)
    assert said.splitlines()[1] == "new here:    0 votes, 0 locks, 0 releases, 0 sessions"
    assert votes(home) == {3: D1, 4: D2}


def test_running_node_is_left_alone(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches an import into a log that a node has already read, and an export out of date."""
    source = tmp_path / "in.json"
    source.write_text(own(home, json.dumps(history(event({3: D1})))))
    with ProcessLock(home.lock):
        refused(run("history", "import", "--home", home.path, source), "stop it")
        refused(run("history", "export", "--home", home.path, "--to", tmp_path / "x"), "stop it")
    assert votes(home) == {}
    assert not (tmp_path / "x").exists()


def test_refusals(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches bad input that is no single line, or that changes something."""
    source = tmp_path / "in.json"
    source.write_text(own(home, json.dumps(history(event({3: D1})))))
    assert run("history", "import", "--home", home.path, source)[0] == 0
    cases = {
        json.dumps(history(event({3: D1}))): "of another network",
        own(home, json.dumps(history(event({3: D2, 5: D1})))): "two votes in attempt 3",
        "{}": "key 'metadata' is missing",
    }
    for text, complaint in cases.items():
        source.write_text(text)
        refused(run("history", "import", "--home", home.path, source), complaint)
        assert votes(home) == {3: D1}
    refused(run("history", "import", "--home", home.path, tmp_path / "no"), "cannot read")
    refused(run("history", "import", "--home", home.path), "Missing argument 'FILE'")
    refused(run("history", "export", "--home", home.path), "Missing option '--to'")
    refused(run("history", "export", "--home", home.path, "--to", source), "never overwritten")
    assert source.read_text() == "{}"
    home.signing_log.unlink()
    source.write_text(own(home, json.dumps(history(event({5: D1})))))
    refused(
        run("history", "import", "--home", home.path, source), "does not make the signing log whole"
    )
    assert not home.signing_log.exists()
    refused(
        run("history", "export", "--home", home.path, "--to", tmp_path / "x"), "signing log missing"
    )
