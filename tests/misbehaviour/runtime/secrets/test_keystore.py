"""Key files that were altered, cut, swapped or opened with another passphrase."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.identity import Identity
from metanode.runtime.secrets.keystore import (
    LIGHT,
    Keystore,
    Passphrase,
    ShareLabel,
    load_identity,
    save_identity,
)
from tests.runtime.support import NODE_ID, PASSPHRASE, keystore

KEY_ID, EPOCH, SHARE = b"\x07" * 32, 5, b"\x5a" * 96
LABEL_END = 15 + 32 + 8 + 33
# Region of the sealed file → position of a byte in it.
REGIONS = {
    "magic": 0,
    "format": 8,
    "kind": 9,
    "KDF cost N": 10,
    "KDF cost r": 11,
    "KDF cost p": 12,
    "label length": 14,
    "key id": 20,
    "epoch": 54,
    "public key": 60,
    "salt": LABEL_END + 3,
    "nonce": LABEL_END + 16 + 3,
    "ciphertext": LABEL_END + 28 + 40,
    "tag": -32 - 5,
    "checksum": -1,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed share."""
    return keystore(tmp_path).save(SHARE, KEY_ID, EPOCH, NODE_ID)


def load(path: Path) -> bytes:
    """Load the share of the fixture."""
    return keystore(path.parent).load(KEY_ID, EPOCH, NODE_ID)


@pytest.mark.parametrize("repaired", [False, True], ids=["damage", "forged checksum"])
@pytest.mark.parametrize("region", REGIONS)
def test_each_altered_region_is_found(path: Path, region: str, repaired: bool) -> None:
    """Catches a byte of the file that nothing authenticates, also against who mends the hash."""
    data = bytearray(path.read_bytes())
    data[REGIONS[region]] ^= 0x01
    if repaired and region != "checksum":
        data[-32:] = hashlib.sha256(data[:-32]).digest()
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [0, 7, 14, 46, 90, 120, 150, -1])
def test_truncated_file_is_found(path: Path, length: int) -> None:
    """Catches a short file that ends in an index error or a wrong share."""
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="damaged|cut short"):
        load(path)


def test_appended_bytes_are_found(path: Path) -> None:
    """Catches trailing bytes that are read over."""
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(UserError, match="damaged"):
        load(path)


def test_swapped_share_is_found(path: Path) -> None:
    """Catches the share of another epoch under this one's name, by label and by its own header."""
    store = keystore(path.parent)
    other = store.save(b"\x66" * 96, KEY_ID, EPOCH + 1, NODE_ID)
    shutil.copy(other, path)
    with pytest.raises(UserError, match="another key or epoch"):
        load(path)
    with pytest.raises(UserError, match="another key or epoch"):
        store.labels()
    # The same with the label forged back: the tag covers the label.
    data = bytearray(path.read_bytes())
    data[15:LABEL_END] = ShareLabel(KEY_ID, EPOCH, NODE_ID).encode()
    data[-32:] = hashlib.sha256(data[:-32]).digest()
    path.write_bytes(data)
    with pytest.raises(UserError, match="wrong passphrase for .* or the file was altered"):
        load(path)


def test_identity_is_no_share(path: Path) -> None:
    """Catches a file of another kind that unseals because the passphrase is the same."""
    identity = path.parent / "identity.key"
    save_identity(identity, Identity.from_secret(7), PASSPHRASE, LIGHT)
    shutil.copy(identity, path)
    with pytest.raises(UserError, match="another kind of secret"):
        load(path)
    shutil.copy(keystore(path.parent).save(SHARE, KEY_ID, 9, NODE_ID), identity)
    with pytest.raises(UserError, match="another kind of secret"):
        load_identity(identity, PASSPHRASE)


def test_wrong_passphrase_is_named(path: Path) -> None:
    """Catches a wrong passphrase that looks like damage, or that names no file."""
    with pytest.raises(UserError, match=f"wrong passphrase for {path}"):
        Keystore(path.parent, Passphrase(b"another"), LIGHT).load(KEY_ID, EPOCH, NODE_ID)


def test_open_share_is_refused(path: Path) -> None:
    """Catches a share that other users of the machine could have replaced."""
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        load(path)


def test_huge_kdf_cost_is_refused_before_it_is_paid(path: Path) -> None:
    """Catches a forged header that asks for a terabyte of memory."""
    data = bytearray(path.read_bytes())
    data[10] = 40
    data[-32:] = hashlib.sha256(data[:-32]).digest()
    path.write_bytes(data)
    with pytest.raises(UserError, match="cost out of bounds"):
        load(path)
