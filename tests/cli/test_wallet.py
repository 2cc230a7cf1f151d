"""``metanode wallet`` at a home whose node holds a share: its stake is touched at a double word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from metanode.devnet.local_network import STAKE, LocalNetwork
from metanode.runtime.home.config import load_config
from tests.cli.conftest import Run
from tests.cli.running import STOPPED, copy_of, network_with_key
from tests.support import key_of

PAYEE = "bcrt1q9hpyuqmddh9k9scx26ftvlqduztcdgfs2kshnf"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """Four nodes with a key, one of which is stopped."""
    made = network_with_key(tmp_path_factory.mktemp("wallet") / "net")
    yield made
    made.stop()


def test_a_holders_stake_needs_two_words(network: LocalNetwork, run: Run, tmp_path: Path) -> None:
    """Catches a stake that goes with the rewards, or at one slip; running or stopped."""
    stopped, running = copy_of(network, tmp_path), network.homes[0]
    for home in (stopped, running):
        code, _, said = run("wallet", "withdraw", "--home", home.path, "--to", PAYEE, "--stake",
                            "--yes")
        assert code == 2
        assert "say --stake twice" in said
        code, _, said = run("wallet", "withdraw", "--home", home.path, "--to", PAYEE, "--yes")
        assert code == 2
        assert "there is no coin to withdraw" in said
    code, said, _ = run("wallet", "balance", "--home", stopped.path, "--json")
    assert json.loads(said)["stake"]["amount"] == STAKE
    code, said, _ = run("wallet", "withdraw", "--home", network.homes[STOPPED].path, "--to", PAYEE,
                        "--stake", "--stake", "--yes", "--json")
    assert code == 0, said
    done = json.loads(said)
    assert done["coins"] == [str(load_config(stopped.config).stake.outpoint)]
    assert done["pays"] == STAKE - done["fee"]


def test_no_secret_is_shown(network: LocalNetwork, run: Run, tmp_path: Path) -> None:
    """Catches a withdrawal without the passphrase, or one that is asked for on the command line."""
    home, word = copy_of(network, tmp_path), tmp_path / "other"
    word.write_text(key_of("word").to_hex())
    word.chmod(0o600)
    code, said, complaint = run("wallet", "withdraw", "--home", home.path, "--to", PAYEE, "--yes",
                                "--passphrase-file", word)
    assert code == 2
    assert "wrong passphrase" in complaint
    assert key_of("word").to_hex() not in said + complaint
