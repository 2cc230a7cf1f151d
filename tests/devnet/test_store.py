"""The journal: a crash at any byte costs at most the last record."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metanode.devnet.ledger import BLOCK_FILE_NAME, DevnetLedger
from metanode.devnet.store import MAGIC, BlockFile
from metanode.errors import UserError

RECORDS = [(b"B", b"first block"), (b"I", b"hash"), (b"B", b"second block")]


def written(path: Path) -> bytes:
    """Write the records and return the file's bytes."""
    file = BlockFile(path)
    assert list(file.records()) == []
    file.append(b"B", b"first block")
    file.append(b"I", b"hash")
    file.append(b"B", b"second block")
    file.close()
    return path.read_bytes()


def reread(path: Path) -> list[tuple[bytes, bytes]]:
    """Open a journal as a restarted process does."""
    file = BlockFile(path)
    try:
        return list(file.records())
    finally:
        file.close()


def test_records_come_back(tmp_path: Path) -> None:
    """Catches a journal that forgets or reorders."""
    path = tmp_path / "deep" / "journal"
    written(path)
    assert reread(path) == RECORDS
    assert path.stat().st_mode & 0o077 == 0


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """Catches a length of the file at which it cannot be opened, or cannot be appended to."""
    path = tmp_path / "journal"
    whole = written(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = reread(path)
        assert found == RECORDS[: len(found)]
        file = BlockFile(path)
        assert list(file.records()) == found
        file.append(b"R", b"after")
        file.close()
        assert reread(path) == [*found, (b"R", b"after")]


@pytest.mark.parametrize(
    "tail", [b"\x00", b"\x00" * 500, b"B", b"B\x00\x00\x00\x05hello" + b"x" * 8]
)
def test_torn_tails_are_cut_off(tmp_path: Path, tail: bytes) -> None:
    """Catches a file that cannot be opened after a power loss."""
    path = tmp_path / "journal"
    whole = written(path)
    path.write_bytes(whole + tail)
    assert reread(path) == RECORDS
    assert path.read_bytes() == whole


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    """Catches damage that is taken for a torn tail: all later blocks would be thrown away."""
    path = tmp_path / "journal"
    whole = written(path)
    for position in range(len(MAGIC), len(MAGIC) + 24):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        if position in range(len(MAGIC) + 1, len(MAGIC) + 5):
            continue  # a wrong length: judged in the next test
        with pytest.raises(UserError, match="damaged"):
            reread(path)
        assert path.read_bytes() == bytes(damaged)


def test_impossible_length_is_damage(tmp_path: Path) -> None:
    """Catches a wrong length that makes all later records look like a torn tail."""
    path = tmp_path / "journal"
    damaged = bytearray(written(path))
    damaged[len(MAGIC) + 1] = 0xFF
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="damaged"):
        reread(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Catches a file of somebody else that is cut to nothing."""
    path = tmp_path / "journal"
    path.write_bytes(b"my diary")
    with pytest.raises(UserError, match="not a devnet block file"):
        reread(path)
    assert path.read_bytes() == b"my diary"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Catches two chains that write into one file."""
    first = BlockFile(tmp_path / "journal")
    with pytest.raises(UserError, match="in use"):
        BlockFile(tmp_path / "journal")
    first.close()
    BlockFile(tmp_path / "journal").close()


def test_sigkill_while_mining(tmp_path: Path) -> None:
    """Catches a chain that announced a block and does not have it after SIGKILL."""
    miner = (
        "import sys, pathlib\n"
        "from metanode.devnet.ledger import DevnetLedger\n"
        "from metanode.devnet.faucet import FAUCET_SCRIPT\n"
        "ledger = DevnetLedger(lambda: 1800000000, pathlib.Path(sys.argv[1]))\n"
        "while True:\n"
        "    print(ledger.mine(FAUCET_SCRIPT).hash.hex(), flush=True)\n"
    )
    command = [sys.executable, "-c", miner, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        announced = [process.stdout.readline().strip() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        announced += [line.strip() for line in process.stdout if len(line) == 65]
    ledger = DevnetLedger(lambda: 1_800_000_000, tmp_path)
    assert {bytes.fromhex(found) for found in announced} <= set(ledger.tree.nodes)
    assert ledger.tree.tip.height in (len(announced), len(announced) + 1)
    ledger.close()
    assert (tmp_path / BLOCK_FILE_NAME).exists()
