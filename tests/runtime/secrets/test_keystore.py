"""Sealed key files: round trips, modes, passphrases, and secrets that never show."""

from __future__ import annotations

import stat
import traceback
from pathlib import Path

import pytest

from metanode.errors import LocalFault, UserError
from metanode.identity import Identity
from metanode.runtime.secrets.keystore import (
    COST_OF_PRESET,
    LIGHT,
    STRONG,
    KdfCost,
    Keystore,
    Passphrase,
    ShareLabel,
    load_identity,
    read_node_id,
    read_passphrase_file,
    save_identity,
    write_passphrase_file,
)
from tests.runtime.support import NODE_ID, PASSPHRASE, SECRET_TEXT, keystore

KEY_ID, EPOCH, PUBLIC_KEY = b"\x07" * 32, 5, NODE_ID
SHARE = b"a share that nobody else may see" * 3


def test_share_round_trip(tmp_path: Path) -> None:
    """Catches a share that is not what was saved, an open file mode, or plain text on the disk."""
    path = keystore(tmp_path).save(SHARE, KEY_ID, EPOCH, PUBLIC_KEY)
    assert path == tmp_path / f"{KEY_ID.hex()}-5.share"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SHARE[:16] not in path.read_bytes()
    assert keystore(tmp_path).load(KEY_ID, EPOCH, PUBLIC_KEY) == SHARE
    assert keystore(tmp_path).labels() == (ShareLabel(KEY_ID, EPOCH, PUBLIC_KEY),)


def test_second_save_never_replaces(tmp_path: Path) -> None:
    """Catches a second key generation that overwrites the only copy of a share."""
    store = keystore(tmp_path)
    path = store.save(SHARE, KEY_ID, EPOCH, PUBLIC_KEY)
    before = path.read_bytes()
    assert store.save(SHARE, KEY_ID, EPOCH, PUBLIC_KEY) == path
    with pytest.raises(LocalFault, match="another share"):
        store.save(b"other", KEY_ID, EPOCH, PUBLIC_KEY)
    assert path.read_bytes() == before


def test_salt_and_nonce_are_fresh(tmp_path: Path) -> None:
    """Catches a repeated nonce: two ciphertexts under one key and nonce give the text away."""
    store = keystore(tmp_path)
    one = store.save(SHARE, KEY_ID, 1, PUBLIC_KEY).read_bytes()
    two = store.save(SHARE, KEY_ID, 2, PUBLIC_KEY).read_bytes()
    start = 15 + 32 + 8 + 33
    assert one[start : start + 16] != two[start : start + 16]
    assert one[start + 16 : start + 28] != two[start + 16 : start + 28]


def test_erase_removes_the_file(tmp_path: Path) -> None:
    """Catches an old epoch's share that stays after its successor is active."""
    store = keystore(tmp_path)
    path = store.save(SHARE, KEY_ID, EPOCH, PUBLIC_KEY)
    store.erase(KEY_ID, EPOCH, PUBLIC_KEY)
    assert not path.exists()
    store.erase(KEY_ID, EPOCH, PUBLIC_KEY)
    assert store.labels() == ()


def test_identity_round_trip(tmp_path: Path) -> None:
    """Catches an identity file that gives another key back or is overwritten."""
    path = tmp_path / "identity.key"
    identity = Identity.from_secret(0xDEADBEEF)
    save_identity(path, identity, PASSPHRASE, LIGHT)
    assert load_identity(path, PASSPHRASE).secret_bytes() == identity.secret_bytes()
    assert read_node_id(path) == identity.node_id
    assert identity.secret_bytes()[-4:] not in path.read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        save_identity(path, identity, PASSPHRASE, LIGHT)


def test_default_cost_is_strong() -> None:
    """Catches a cheap KDF outside devnets: 128 MiB per guess is the least for real keys."""
    assert COST_OF_PRESET["mainnet"] == STRONG
    assert 128 * STRONG.r * 2**STRONG.log2_n >= 128 << 20
    assert COST_OF_PRESET["devnet"] == LIGHT


@pytest.mark.parametrize("cost", [(9, 8, 1), (21, 8, 1), (12, 0, 1), (12, 8, 5), (12, 17, 1)])
def test_cost_is_bounded(cost: tuple[int, int, int]) -> None:
    """Catches a header that makes the node take gigabytes or hours."""
    with pytest.raises(LocalFault):
        KdfCost(*cost)


def test_passphrase_files(tmp_path: Path) -> None:
    """Catches passphrase files that are open to others, empty, or more than one line."""
    path = tmp_path / "passphrase"
    made = write_passphrase_file(path)
    assert read_passphrase_file(path).secret == made.secret
    assert len(made.secret) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="never overwritten"):
        write_passphrase_file(path)
    path.chmod(0o644)
    with pytest.raises(UserError, match="open to other users"):
        read_passphrase_file(path)
    path.chmod(0o600)
    for content, reason in ((b"", "empty"), (b"\n", "empty"), (b"a\nb\n", "several lines")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=reason):
            read_passphrase_file(path)
    path.write_bytes(b"with blanks \r\n")
    assert read_passphrase_file(path).secret == b"with blanks "


def test_secrets_never_show(tmp_path: Path) -> None:
    """Catches a passphrase, share or identity key in a repr or in a traceback."""
    store = keystore(tmp_path)
    store.save(SHARE, KEY_ID, EPOCH, PUBLIC_KEY)
    shown = [repr(PASSPHRASE), str(PASSPHRASE), f"{PASSPHRASE}", repr(store)]
    wrong = Passphrase(b"wrong " + SECRET_TEXT)
    with pytest.raises(UserError) as caught:
        Keystore(tmp_path, wrong, LIGHT).load(KEY_ID, EPOCH, PUBLIC_KEY)
    shown.append("".join(traceback.format_exception(caught.value)))
    shown.append(repr(Identity.from_secret(0xDEADBEEF)))
    for text in shown:
        assert SECRET_TEXT.decode() not in text
        assert SHARE[:16].decode() not in text
        assert "deadbeef" not in text.lower()
        assert str(0xDEADBEEF) not in text
