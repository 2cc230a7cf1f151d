"""Exported shares that were cut, altered, swapped, outlived or made for another home."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from metanode.errors import UserError
from metanode.runtime.home.home import Home
from metanode.runtime.home.owner import OWNER_BYTES, Owner
from metanode.runtime.secrets.keyshares import (
    choose,
    export_share,
    import_share,
    list_shares,
    verify_shares,
)
from metanode.runtime.secrets.keystore import (
    KIND_EXPORT,
    LIGHT,
    Keystore,
    Passphrase,
    ShareLabel,
    read_label,
    write_sealed,
)
from metanode.tss import curve
from metanode.tss.keyshare import Keyshare
from tests.runtime.secrets.support import (
    NODES,
    home_with_share,
    make_home,
    share_file,
    share_of,
    store_share,
)
from tests.runtime.support import PASSPHRASE, config, keystore

ME = NODES[0].node_id
NETWORK = config().network_id()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home that lost its share, and the export of that share."""
    place = tmp_path_factory.mktemp("exported")
    home, target = home_with_share(place / "home"), place / "share.export"
    entry = choose(list_shares(home, ME), None, None)
    export_share(home, config(), PASSPHRASE, entry, target, PASSPHRASE)
    share_file(home).unlink()
    return home, target


def refuse(home: Home, file: Path, complaint: str | None = None, settings: object = None) -> str:
    """Check that an import is refused in one line and changes nothing; return the line."""
    before = sorted(home.keyshares.iterdir())
    with pytest.raises(UserError, match=complaint) as caught:
        import_share(home, settings or config(), PASSPHRASE, file, PASSPHRASE)
    assert "\n" not in str(caught.value)
    assert sorted(home.keyshares.iterdir()) == before
    return str(caught.value)


def sealed(path: Path, owner: Owner, label: ShareLabel, share: Keyshare) -> Path:
    """Write an export with any label and content, properly sealed."""
    full = owner.encode() + label.encode()
    write_sealed(path, KIND_EXPORT, full, share.to_bytes(), PASSPHRASE, LIGHT)
    return path


def label_of(share: Keyshare) -> ShareLabel:
    """Return the label that belongs to a share."""
    return ShareLabel(share.key_id, share.epoch, share.public_key)


def test_every_cut_is_refused(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches a file that lost its end: at every 64th byte, so in every part of it."""
    home, good = exported
    data, path = good.read_bytes(), tmp_path / "cut"
    path.touch(mode=0o600)
    for length in range(0, len(data), 64):
        path.write_bytes(data[:length])
        with pytest.raises(UserError):
            read_label(path, KIND_EXPORT)
    for length in (0, 60, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refuse(home, path, "damaged|cut short")


@pytest.mark.parametrize("mended", [False, True], ids=["damage", "forged checksum"])
def test_flipped_bits_are_refused(
    exported: tuple[Home, Path], tmp_path: Path, mended: bool
) -> None:
    """Catches a byte that nothing authenticates, also against who mends the closing hash."""
    home, good = exported
    chance, path = random.Random(9), tmp_path / "flipped"
    path.touch(mode=0o600)
    head = 15 + OWNER_BYTES + 73 + 28
    places = [*range(0, head, 9), *(chance.randrange(head, len(good.read_bytes()) - 32)
                                    for _ in range(8))]
    for place in places:
        data = bytearray(good.read_bytes())
        data[place] ^= 1 << chance.randrange(8)
        if mended:
            data[-32:] = hashlib.sha256(data[:-32]).digest()
        path.write_bytes(data)
        refuse(home, path)


def test_wrong_passphrase_is_named(exported: tuple[Home, Path]) -> None:
    """Catches a wrong passphrase of the file that looks like one of the home."""
    home, good = exported
    with pytest.raises(UserError, match=f"wrong passphrase for {good}"):
        import_share(home, config(), PASSPHRASE, good, Passphrase(b"another"))
    with pytest.raises(UserError, match=f"wrong passphrase for {home.identity}"):
        import_share(home, config(), Passphrase(b"another"), good, PASSPHRASE)


def test_another_network_is_refused(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches a share of a trial network that lands in the real one."""
    home, good = exported
    refuse(home, good, "belongs to network", config("network.name", "other"))
    label = label_of(share_of(1))
    foreign = sealed(tmp_path / "foreign", Owner(b"\x01" * 32, ME), label, share_of(1))
    refuse(home, foreign, "belongs to network 0101")


def test_another_node_is_refused(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches one node with two shares, which counts twice where it should count once."""
    _, good = exported
    other = make_home(tmp_path / "other", 2)
    store_share(other, share_of(2))
    share_file(other).unlink()
    refuse(other, good, f"belongs to node {ME.hex()[:16]}")
    # The same with its label forged: the content is still party 1's.
    label = label_of(share_of(1))
    forged = sealed(tmp_path / "forged", Owner(NETWORK, NODES[1].node_id), label, share_of(1))
    refuse(other, forged, "holds share 1 of 3 .*, this node's is 2 of 3")


def test_another_key_is_refused(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches the share of a key that this home never made, or has given up."""
    home, _ = exported
    stranger = share_of(1, 1, "stranger")
    file = sealed(tmp_path / "a", Owner(NETWORK, ME), label_of(stranger), stranger)
    refuse(home, file, "which this home does not count on")
    given_up = make_home(tmp_path / "other")
    store_share(given_up, stranger, state="abandoned")
    share_file(given_up).unlink()
    refuse(given_up, file, "which this home does not count on")


@pytest.mark.parametrize("with_file", [True, False])
def test_older_epoch_is_refused(tmp_path: Path, with_file: bool) -> None:
    """Catches an old share after a refresh: with t of those the old key could sign again."""
    home = home_with_share(tmp_path / "home")
    target = tmp_path / "old"
    entry = choose(list_shares(home, ME), None, None)
    export_share(home, config(), PASSPHRASE, entry, target, PASSPHRASE)
    share_file(home).unlink()
    store_share(home, share_of(1, 2), slot=8)
    if not with_file:
        share_file(home).unlink()  # the event store alone knows of the newer epoch
    refuse(home, target, "holds epoch 1, this home is at epoch 2")


@pytest.mark.parametrize(
    "change",
    [
        lambda share: evolve(share, epoch=2),
        lambda share: share_of(1, 1, "other"),
        lambda share: share_of(2),
        lambda share: evolve(share, secret_share=share.secret_share + 1),
        lambda share: evolve(share, threshold=3),
        lambda share: evolve(share, public_shares=share.public_shares[::-1]),
        lambda share: evolve(share, pair_state={2: share.pair_state[2]}),
        lambda share: evolve(
            share,
            pair_state={p: evolve(s, leaves=s.leaves[:-1]) for p, s in share.pair_state.items()},
        ),
        lambda share: evolve(share, public_key=curve.encode_point(curve.generator_mult(5))),
    ],
    ids=["epoch", "key", "party", "secret", "threshold", "order", "pairs", "leaves", "public key"],
)
def test_swapped_content_is_found(
    exported: tuple[Home, Path], tmp_path: Path, change: Callable[[Keyshare], Keyshare]
) -> None:
    """Catches a sealed content that is not what its label says, in an export and in the home."""
    home, _ = exported
    share = share_of(1)
    bad, label = change(share), label_of(share)
    refuse(home, sealed(tmp_path / "swapped", Owner(NETWORK, ME), label, bad), "swapped")
    other = make_home(tmp_path / "home")
    store_share(other, share)
    path = share_file(other)
    path.unlink()
    keystore(other.keyshares).save(bad.to_bytes(), label.key_id, label.epoch, label.public_key)
    ((_, fault),) = verify_shares(other, config(), PASSPHRASE)
    assert isinstance(fault, UserError)
    assert str(path) in str(fault)


def test_swapped_files_in_the_home_are_found(tmp_path: Path) -> None:
    """Catches two good shares under each other's names, and one bad file that hides the others."""
    home = home_with_share(tmp_path / "home")
    for epoch in (2, 3):
        store_share(home, share_of(1, epoch), slot=6 + epoch)
    one, two, _ = sorted(home.keyshares.iterdir())
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    found = [result for _, result in verify_shares(home, config(), PASSPHRASE)]
    assert [type(result) for result in found] == [UserError, UserError, Keyshare]
    for path, fault in zip((one, two), found, strict=False):
        assert str(fault) == (
            f"{path} holds the share of another key or epoch: put the right file back"
        )


def test_other_sealed_files_are_no_exports(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches a share file, an identity or rubbish that is taken for an export, and the reverse."""
    home, good = exported
    share = share_of(1)
    plain = Keystore(tmp_path, PASSPHRASE, LIGHT).save(
        share.to_bytes(), share.key_id, 1, share.public_key
    )
    refuse(home, plain, "another kind of secret")
    refuse(home, home.identity, "another kind of secret")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish" * 100)
    rubbish.chmod(0o600)
    refuse(home, rubbish, "no sealed key file")
    refuse(home, tmp_path / "nothing", "cannot read")
    short = tmp_path / "short"
    write_sealed(short, KIND_EXPORT, b"label", b"secret", PASSPHRASE, LIGHT)
    refuse(home, short, "was altered")
    copy = shutil.copy(good, plain)
    with pytest.raises(UserError, match="another kind of secret"):
        keystore(tmp_path).load(share.key_id, 1, share.public_key)
    assert copy == plain


def test_open_export_is_refused(exported: tuple[Home, Path], tmp_path: Path) -> None:
    """Catches an export that other users of the machine could have replaced."""
    home, good = exported
    shared = Path(shutil.copy(good, tmp_path / "shared"))
    shared.chmod(0o644)
    refuse(home, shared, "chmod 600")
