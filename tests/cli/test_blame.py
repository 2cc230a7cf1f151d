"""``metanode blame``: each command, its exit codes, and every reason to refuse in one line."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from attrs import evolve

from metanode.protocol.blame.book import BlameList
from metanode.protocol.blame.record import BlameRecord
from metanode.protocol.tables.effects import Write
from metanode.runtime.home.home import Home
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.operator import admin
from tests.cli.conftest import Run
from tests.protocol.blame.support import true_record
from tests.runtime.operator.test_blame import ME, PEER, ban, flush, refreshed
from tests.runtime.secrets.support import home_with_share
from tests.support import refused


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a share, a proved record, a word, and a ban."""
    place, proved = home_with_share(tmp_path / "home"), true_record()
    kept = BlameList((proved, word_only(proved)))
    flush(place, Write("blamed", (ME.node_id, proved.culprit), False, True, kept))
    ban(place)
    return place


def word_only(record: BlameRecord) -> BlameRecord:
    """Return a record of what only its accuser knows."""
    return evolve(
        record,
        kind="mul_check",
        reason="multiplication",
        ban=True,
        transferable=False,
        frames=(),
        time=record.time + 1,
    )


def test_the_list_for_people_and_for_programs(run: Run, home: Home) -> None:
    """Catches a list that names nobody, or does not say what is proved."""
    code, out, err = run("blame", "--home", home.path)
    assert (code, err) == (0, "")
    proved = true_record()
    assert f"{proved.id}  commitment: opening of the nonce point (proved)" in out
    assert f"{word_only(proved).id}  mul_check: multiplication (this node's word only)" in out
    assert f"culprit:  {proved.culprit.hex()}" in out
    assert f"banned: {PEER.hex()}" in out
    code, out, err = run("--home", home.path, "blame", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert [r["id"] for r in report["records"]] == [word_only(proved).id, proved.id]
    assert report["bans"][0]["node_id"] == PEER.hex()


def test_a_home_without_blame_says_so(run: Run, tmp_path: Path) -> None:
    """Catches silence that looks like a fault."""
    place = home_with_share(tmp_path / "quiet")
    assert run("blame", "--home", place.path) == (0, "nobody is blamed\n", "")


def test_the_file_of_a_node_that_was_killed_is_no_obstacle(run: Run, home: Home) -> None:
    """Catches a list that asks a node which is gone, and shows nothing."""
    home.admin.write_text('{"host": "127.0.0.1", "port": 1, "token": "gone"}')
    home.admin.chmod(0o600)
    code, out, _ = run("blame", "--home", home.path, "--json")
    assert code == 0
    assert len(json.loads(out)["records"]) == 2


def test_an_exported_record_convicts_and_a_word_does_not(
    run: Run, home: Home, tmp_path: Path
) -> None:
    """Catches wrong exit codes, a proof that needs the home, a file that others may read."""
    proved, file = true_record(), tmp_path / "proved.blame"
    code, out, err = run("blame", "export", "--home", home.path, proved.id[:6], file)
    assert (code, err) == (0, "")
    assert proved.id in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    code, out, err = run("blame", "verify", file)
    assert (code, err) == (0, "")
    assert out.startswith("convicted\n")
    assert proved.culprit.hex() in out
    word = tmp_path / "word.blame"
    code, _, err = run(
        "blame", "export", "--home", home.path, word_only(proved).id, word
    )
    assert code == 0
    assert "this node's word only" in err
    code, out, _ = run("blame", "verify", word)
    assert code == 1
    assert out.startswith("not proved\n")
    lie = tmp_path / "lie.blame"
    lie.write_bytes(evolve(proved, culprit=proved.accuser).encode())
    assert run("blame", "verify", lie)[0] == 1


def test_bad_input_is_refused_in_one_line(run: Run, home: Home, tmp_path: Path) -> None:
    """Catches a traceback, an overwritten file, a record that is guessed."""
    file = tmp_path / "some"
    file.write_bytes(b"no record")
    refused(run("blame", "verify", file), "no blame record")
    refused(run("blame", "verify", tmp_path / "nowhere"), "nowhere")
    refused(run("blame", "verify", tmp_path))
    refused(run("blame", "export", "--home", home.path, "zz", tmp_path / "new"), "no record")
    refused(run("blame", "export", "--home", home.path, "", tmp_path / "new"), "several records")
    refused(run("blame", "export", "--home", home.path, true_record().id, file), "exists")
    assert file.read_bytes() == b"no record"
    refused(run("blame"), "--home")
    refused(run("blame", "--home", tmp_path / "none"), "none")
    refused(run("blame", "pardon", "--home", home.path, "xyz"), "no node id")
    refused(run("blame", "pardon", "--home", home.path, ME.node_id.hex()), "no ban")


def test_a_pardon_waits_for_fresh_shares_and_a_stopped_node(run: Run, home: Home) -> None:
    """Catches a pardon beside a running node, or on the transfers that were guessed at."""
    peer = PEER.hex()
    refused(run("blame", "pardon", "--home", home.path, peer), "run `keyrefresh`, then pardon")
    refreshed(home, 2)
    with ProcessLock(home.lock):
        refused(run("blame", "pardon", "--home", home.path, peer), "already runs")
    code, out, err = run("blame", "pardon", "--home", home.path, peer)
    assert (code, err) == (0, "")
    assert out.startswith(f"pardoned: {peer}")
    assert json.loads(run("blame", "--home", home.path, "--json")[1])["bans"] == []


def test_a_running_node_is_asked_itself(
    run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a command that reads or writes the store beside the node that owns it."""
    asked: list[object] = []
    report = {"records": [], "bans": []}

    def post(_home: Home, page: str, document: dict[str, str]) -> dict[str, object]:
        asked.append((page, document))
        return {**document, "epoch": 1, "since": 0}

    home.admin.write_text("{}")
    monkeypatch.setattr(admin, "fetch_json", lambda _home, page: {"/blame": report}[page])
    monkeypatch.setattr(admin, "post", post)
    assert json.loads(run("blame", "--home", home.path, "--json")[1]) == report
    code, out, _ = run("blame", "pardon", "--home", home.path, PEER.hex())
    assert (code, asked) == (0, [("/pardon", {"node_id": PEER.hex()})])
    assert "in key epoch 1" in out
