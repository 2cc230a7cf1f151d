"""``metanode config``: what a file means, what is shared, and in what two members differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metanode.runtime.home.config import load_config
from metanode.runtime.home.config_template import KEYS, SHARED
from metanode.runtime.home.home import Home
from tests.cli.conftest import Run
from tests.cli.running import set_key


@pytest.fixture
def home(tmp_path: Path, run: Run) -> Home:
    """A new home, with a stake that nobody has looked at."""
    place = Home(tmp_path / "home")
    code, _, said = run(
        "init", "--home", place.path, "--preset", "devnet", "--peer", "127.0.0.1:7001",
        "--new-passphrase-file", tmp_path / "word", "--stake-outpoint", "ab" * 32 + ":1",
    )
    assert code == 0, said
    return place


def test_show_tells_every_key_with_its_value_in_force(home: Home, run: Run) -> None:
    """Catches a key that is left out, a default that is not shown, and a wrong owner of a key."""
    code, said, _ = run("config", "show", "--home", home.path, "--json")
    assert code == 0
    report = json.loads(said)
    assert report["network_id"] == load_config(home.config).network_id().hex()
    keys = {entry["key"]: entry for entry in report["keys"]}
    assert list(keys) == list(KEYS)
    assert {key for key, entry in keys.items() if entry["scope"] == "shared"} == SHARED
    assert keys["network.seeds"]["scope"] == "passed on"
    assert (keys["network.seats"]["value"], keys["network.seats"]["given"]) == (4, False)
    assert keys["network.online_weight_minimum"]["value"] == 67
    fee = load_config(home.config).parameters().fee_rate_floor
    assert keys["custody.fee_rate_floor"]["value"] == fee
    assert keys["network.members"]["given"]


def test_show_for_people_marks_defaults(home: Home, run: Run) -> None:
    """Catches a list in which what the file says and what is a default look alike."""
    _, said, _ = run("config", "show", "--home", home.path)
    lines = [line.split() for line in said.splitlines()]
    assert ["network.members", "4"] in lines
    assert ["network.seats", "4", "(default)"] in lines
    assert said.index("shared with all members") < said.index("this operator's own")


def test_a_good_file_is_good(home: Home, run: Run) -> None:
    """Catches a check that complains without a reason."""
    code, said, _ = run("config", "check", "--home", home.path)
    assert code == 0
    assert said.startswith("good: ")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("stake.outpoint", None, "stake.outpoint is missing"),
        ("node.passphrase_file", "gone", "node.passphrase_file"),
        ("chain.rpc_password_file", "gone", "chain.rpc_password_file"),
        ("node.peers", (), "no peer is named"),
    ],
)
def test_what_is_unwise_is_a_warning(
    home: Home, run: Run, key: str, value: object, words: str
) -> None:
    """Catches a setting that would stop the node later, and that the check lets pass."""
    set_key(home, key, value)
    code, said, _ = run("config", "check", "--home", home.path, "--json")
    assert code == 1
    assert words in json.loads(said)["warnings"][0]


@pytest.mark.parametrize("words", ["check", "show"])
def test_a_bad_file_is_one_line(home: Home, run: Run, words: str) -> None:
    """Catches a traceback, or a message that does not name the key."""
    home.config.write_text(home.config.read_text().replace("threshold = 3", "threshold = 2"))
    code, _, said = run("config", words, "--home", home.path)
    assert code == 2
    assert said.count("\n") == 1
    assert "unsafe members, threshold, byzantine" in said


def test_against_names_the_shared_keys_that_differ(home: Home, run: Run, tmp_path: Path) -> None:
    """Catches members who look in vain for the key that gives them another network id."""
    other = tmp_path / "other.toml"
    other.write_text(home.config.read_text())
    set_key(home, "node.peers", ())
    code, said, _ = run("config", "check", "--home", home.path, "--against", other)
    assert code == 1  # without peers; the networks are the same
    assert "good" in said
    set_key(home, "chain.confirmations", 9)
    code, _, said = run("config", "check", "--home", home.path, "--against", other)
    assert code == 2
    assert "chain.confirmations is 9 here and 1 there: make them equal" in said


def test_against_sees_a_default_that_only_one_writes(
    home: Home, run: Run, tmp_path: Path
) -> None:
    """Catches two networks whose settings look equal, because one of them writes a default."""
    other = tmp_path / "other.toml"
    other.write_text(home.config.read_text())
    set_key(home, "network.seats", 4)
    code, _, said = run("config", "check", "--home", home.path, "--against", other)
    assert code == 2
    assert "network.seats is written here and left out there" in said
