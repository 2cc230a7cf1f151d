"""``metanode wallet`` and ``doctor`` on the embedded chain and on a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metanode.cli.main import invoke
from metanode.custody.types import Outpoint
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import read_node_id
from tests.daemons.coins import script_of
from tests.daemons.support import Chain
from tests.support import key_of

PAYEE = key_of("whom the operator pays")
CHAIN_OF_HRP = {"bcrt": "bitcoin-regtest", "rltc": "litecoin-regtest"}
AMOUNT = 2_000_000


class Desk:
    """An operator's home beside a chain, with the coins that it owns."""

    def __init__(self, chain: Chain, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.chain, self.home, self.capsys = chain, Home(place / "home"), capsys
        user, password = chain.server.credentials()
        secret = place / "cookie"
        secret.touch(mode=0o600)
        secret.write_text(f"{user}:{password}")
        name = CHAIN_OF_HRP[chain.hrp] if chain.is_real else "devnet"
        code, _, said = self.run(
            "init", "--preset", "devnet", "--chain", name, "--new-passphrase-file", place / "word",
            "--rpc-url", chain.server.url, "--rpc-password-file", secret,
        )
        assert code == 0, said

    def run(self, *words: object) -> tuple[int, str, str]:
        """Run a command on the home."""
        self.capsys.readouterr()
        code = invoke(["--home", str(self.home.path), *map(str, words)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def report(self, *words: object) -> dict[str, Any]:
        """Run a command that succeeds and answers in JSON."""
        code, said, complaint = self.run(*words, "--json")
        assert code == 0, complaint
        found: dict[str, Any] = json.loads(said)
        return found

    def paid(self, count: int) -> list[Outpoint]:
        """Pay coins to the home's address, confirmed."""
        script = b"\x00\x14" + self._hash()
        made = [self.chain.pay(script) for _ in range(count)]
        self.chain.mine()
        return made

    def _hash(self) -> bytes:
        from btclib.hashes import hash160

        return bytes(hash160(read_node_id(self.home.identity)))

    def stake(self, outpoint: Outpoint) -> None:
        """Name an output as the stake."""
        text = self.home.config.read_text()
        self.home.config.write_text(text.replace('# outpoint = ""', f'outpoint = "{outpoint}"'))


@pytest.fixture
def desk(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """An operator's home on each chain in turn."""
    return Desk(chain, tmp_path, capsys)


def received(chain: Chain, txid: str) -> list[int]:
    """Return what a transaction pays to the payee, in base units."""
    made = chain.call("getrawtransaction", txid, True)["vout"]
    script = script_of(PAYEE).hex()
    return [int(o["value"] * 10**8) for o in made if o["scriptPubKey"]["hex"] == script]


def test_rewards_are_withdrawn_and_the_stake_stays(desk: Desk) -> None:
    """Catches a withdrawal that spends the stake, loses change, or does not reach the chain."""
    chain, to = desk.chain, desk.chain.address(PAYEE)
    stake, *rewards = desk.paid(3)
    desk.stake(stake)
    before = desk.report("wallet", "balance")
    assert before["stake"] == {"outpoint": str(stake), "amount": AMOUNT}
    assert {coin["outpoint"] for coin in before["coins"]} == set(map(str, rewards))
    assert before["rewards"] == 2 * AMOUNT
    assert before["address"] == desk.report("wallet", "address")["address"]
    done = desk.report("wallet", "withdraw", "--to", to, "--amount", 2_500_000, "--yes")
    assert done["result"] == "sent"
    assert done["pays"] + done["fee"] + done["change"] == 2 * AMOUNT
    assert received(chain, done["transaction"]) == [2_500_000]
    chain.mine()
    after = desk.report("wallet", "balance")
    assert after["stake"] == before["stake"]
    assert after["rewards"] == done["change"]
    rest = desk.report("wallet", "withdraw", "--to", to, "--yes")
    assert (rest["pays"], rest["change"]) == (done["change"] - rest["fee"], 0)
    chain.mine()
    assert desk.report("wallet", "balance")["rewards"] == 0
    all_of_it = desk.report("wallet", "withdraw", "--to", to, "--stake", "--yes")
    assert all_of_it["coins"] == [str(stake)]
    chain.mine()
    assert desk.report("wallet", "balance")["stake"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "nobody", "--yes"], "is no segwit address"),
        (["--to", "SELF", "--yes"], "this node's own address"),
        (["--to", "PAYEE", "--amount", "1", "--yes"], "daemons relay no less than"),
        (["--to", "PAYEE", "--amount", "900000000", "--yes"], "withdraw less"),
        (["--to", "PAYEE", "--fee-rate", "100000", "--yes"], "out of bounds"),
        (["--to", "PAYEE", "--stake", "--yes"], "the stake is spent, or was never there"),
        (["--to", "PAYEE"], "add --yes"),
    ],
)
def test_what_cannot_be_paid_is_one_line(desk: Desk, words: list[str], said: str) -> None:
    """Catches a payment that is signed although it cannot be good, and a traceback."""
    desk.paid(1)
    own = desk.report("wallet", "address")["address"]
    names = {"PAYEE": desk.chain.address(PAYEE), "SELF": own}
    code, _, complaint = desk.run("wallet", "withdraw", *(names.get(word, word) for word in words))
    assert code == 2
    assert complaint.count("\n") == 1
    assert said in complaint
    assert desk.chain.call("getrawmempool") == []


def test_the_doctor_reads_this_daemon(desk: Desk) -> None:
    """Catches a check that holds on the embedded chain only."""
    (stake,) = desk.paid(1)
    desk.stake(stake)
    code, said, _ = desk.run("doctor", "--json")
    assert code in (1, 2)
    found = {each["about"]: each for each in json.loads(said)["findings"]}
    assert found["daemon"]["level"] == "ok", found["daemon"]
    assert found["clock"]["level"] == "ok"
    assert (found["stake"]["level"], "counts in" in found["stake"]["text"]) == ("warning", True)
    assert found.get("index", {"level": "ok"})["level"] == "ok"
    assert ("index" in found) == desk.chain.is_real
