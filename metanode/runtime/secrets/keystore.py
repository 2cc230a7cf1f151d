"""Secrets on disk: the identity key and the key shares, sealed under the operator's passphrase.

One share is one file; an exported share is a third kind of sealed file, whose label also names the
network and the node.

A sealed file is, in this order (integers big-endian)::

    "METANODE" | format 1 byte | kind 1 byte | scrypt log2(N), r, p 1 byte each
    | label length 2 bytes | label | salt 16 bytes | nonce 12 bytes
    | ciphertext and tag | SHA-256 of all before, 32 bytes

The key is scrypt (RFC 7914) of the passphrase and the salt, the cipher ChaCha20-Poly1305 (RFC
8439). Everything before the ciphertext is associated data, so a share cannot be passed off as that
of another key, epoch or public key. The closing hash tells damage from a wrong passphrase; it
protects nothing, the tag does. Salt and nonce are drawn anew for each write, so no key meets two
messages.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from metanode.errors import LocalFault, Unavailable, UserError
from metanode.identity import NODE_ID_BYTES, SECRET_BYTES, Identity
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import atomic_write, read_bounded, refuse_shared, sync_directory

MAGIC = b"METANODE"
FORMAT = 1
KIND_SHARE, KIND_IDENTITY, KIND_EXPORT = 1, 2, 3
SALT_BYTES, NONCE_BYTES, KEY_BYTES, TAG_BYTES, HASH_BYTES = 16, 12, 32, 16, 32
KEY_ID_BYTES, EPOCH_BYTES, PUBLIC_KEY_BYTES = 32, 8, 33
FIXED_BYTES = len(MAGIC) + 7
MAX_SEALED_BYTES = 1 << 20
MAX_PASSPHRASE_BYTES = 1024
SHARE_SUFFIX = ".share"


@frozen
class KdfCost:
    """scrypt's parameters: N = 2**log2_n, block size r, parallelism p; memory 128·N·r bytes.

    The bounds keep a forged header from costing gigabytes of memory or hours of work.
    """

    log2_n: int
    r: int = 8
    p: int = 1

    def __attrs_post_init__(self) -> None:
        if not (10 <= self.log2_n <= 20 and 1 <= self.r <= 16 and 1 <= self.p <= 4):
            raise LocalFault(f"scrypt cost out of bounds: {self}")


STRONG = KdfCost(17)
"""128 MiB and a few tenths of a second per guess: for keys that hold value."""
LIGHT = KdfCost(12)
"""4 MiB and milliseconds: for devnets and tests only."""
COST_OF_PRESET = {"mainnet": STRONG, "devnet": LIGHT}


@frozen(repr=False)
class Passphrase:
    """The operator's passphrase; neither ``repr`` nor ``str`` shows it."""

    secret: bytes = field()

    @secret.validator
    def _bounded(self, _attribute: object, value: bytes) -> None:
        if not value:
            raise UserError("the passphrase is empty: give one of at least one character")
        if len(value) > MAX_PASSPHRASE_BYTES:
            raise UserError(f"the passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes: cut it")

    def __repr__(self) -> str:
        return "Passphrase(...)"


def read_passphrase_file(path: Path) -> Passphrase:
    """Return the passphrase that is the first and only line of ``path``.

    Raises UserError when the file is missing, open to other users, empty, or has several lines.
    """
    refuse_shared(path)
    text = read_bounded(path, MAX_PASSPHRASE_BYTES + 2)
    line = text.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise UserError(f"{path} has several lines: leave only the one with the passphrase")
    if not line:
        raise UserError(f"{path} is empty: write the passphrase into its first line")
    return Passphrase(line)


def write_passphrase_file(path: Path) -> Passphrase:
    """Make a new random passphrase of 256 bits in a new file of mode 0600 and return it."""
    if path.exists():
        raise UserError(f"{path} exists already and is never overwritten: name another file")
    passphrase = Passphrase(secrets.token_urlsafe(32).encode("ascii"))
    atomic_write(path, passphrase.secret + b"\n")
    return passphrase


@frozen
class ShareLabel:
    """What a share belongs to: 32-byte key id, epoch, 33-byte public key."""

    key_id: bytes
    epoch: int
    public_key: bytes

    def __attrs_post_init__(self) -> None:
        if len(self.key_id) != KEY_ID_BYTES or len(self.public_key) != PUBLIC_KEY_BYTES:
            raise LocalFault("a share label needs a 32-byte key id and a 33-byte public key")
        if not 0 <= self.epoch < 2 ** (8 * EPOCH_BYTES):
            raise LocalFault(f"epoch {self.epoch} is out of range")

    def encode(self) -> bytes:
        """Return key id‖epoch‖public key."""
        return self.key_id + self.epoch.to_bytes(EPOCH_BYTES, "big") + self.public_key

    @classmethod
    def decode(cls, data: bytes) -> ShareLabel:
        """Read what :meth:`encode` wrote; LocalFault for another length."""
        middle = KEY_ID_BYTES + EPOCH_BYTES
        epoch = int.from_bytes(data[KEY_ID_BYTES:middle], "big")
        return cls(data[:KEY_ID_BYTES], epoch, data[middle:])

    def file_name(self) -> str:
        """Return the name of the share's file."""
        return f"{self.key_id.hex()}-{self.epoch}{SHARE_SUFFIX}"


@frozen
class _Sealed:
    """A sealed file taken apart; nothing in it is authentic before the tag is checked."""

    kind: int
    cost: KdfCost
    label: bytes
    header: bytes
    salt: bytes
    nonce: bytes
    ciphertext: bytes


def derive_key(passphrase: Passphrase, salt: bytes, cost: KdfCost) -> bytes:
    """Return the 32-byte key that a passphrase and a salt stand for."""
    kdf = Scrypt(salt=salt, length=KEY_BYTES, n=1 << cost.log2_n, r=cost.r, p=cost.p)
    return kdf.derive(passphrase.secret)


def seal(
    kind: int, label: bytes, secret: bytes, passphrase: Passphrase, cost: KdfCost,
    entropy: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """Return the sealed file of ``secret`` with ``label`` in the clear, authenticated."""
    salt, nonce = entropy(SALT_BYTES), entropy(NONCE_BYTES)
    numbers = bytes([FORMAT, kind, cost.log2_n, cost.r, cost.p])
    header = MAGIC + numbers + len(label).to_bytes(2, "big") + label + salt + nonce
    key = derive_key(passphrase, salt, cost)
    body = header + ChaCha20Poly1305(key).encrypt(nonce, secret, header)
    sealed = body + hashlib.sha256(body).digest()
    if len(sealed) > MAX_SEALED_BYTES:
        raise LocalFault(f"a secret of {len(secret)} bytes is too long to be sealed")
    return sealed


def _take_apart(path: Path, data: bytes) -> _Sealed:
    mend = "restore the file from a backup"
    if data[: len(MAGIC)] != MAGIC or len(data) < FIXED_BYTES + HASH_BYTES:
        raise UserError(f"{path} is no sealed key file, or it was cut short: {mend}")
    body, digest = data[:-HASH_BYTES], data[-HASH_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise UserError(f"{path} is damaged (its checksum does not match): {mend}")
    version, kind, log2_n, r, p = body[len(MAGIC) : len(MAGIC) + 5]
    if version != FORMAT:
        raise UserError(f"{path} has format {version}, not {FORMAT}: use the program that wrote it")
    try:
        cost = KdfCost(log2_n, r, p)
    except LocalFault as error:
        raise UserError(f"{path} was altered ({error}): {mend}") from error
    label_end = FIXED_BYTES + int.from_bytes(body[FIXED_BYTES - 2 : FIXED_BYTES], "big")
    salt_end = label_end + SALT_BYTES
    nonce_end = salt_end + NONCE_BYTES
    if nonce_end + TAG_BYTES > len(body):
        raise UserError(f"{path} was altered (its parts overrun its end): {mend}")
    return _Sealed(
        kind=kind, cost=cost, label=body[FIXED_BYTES:label_end], header=body[:nonce_end],
        salt=body[label_end:salt_end], nonce=body[salt_end:nonce_end], ciphertext=body[nonce_end:],
    )


def _read(path: Path, kind: int) -> _Sealed:
    sealed = _take_apart(path, read_bounded(path, MAX_SEALED_BYTES))
    if sealed.kind != kind:
        raise UserError(f"{path} holds another kind of secret: put the right file back")
    return sealed


def _unseal(path: Path, sealed: _Sealed, passphrase: Passphrase) -> bytes:
    key = derive_key(passphrase, sealed.salt, sealed.cost)
    try:
        return ChaCha20Poly1305(key).decrypt(sealed.nonce, sealed.ciphertext, sealed.header)
    except InvalidTag:
        # The cause carries no more than this, and a chained traceback would only add noise.
        raise UserError(
            f"wrong passphrase for {path}, or the file was altered: "
            "check the passphrase, else restore the file from a backup"
        ) from None


def write_sealed(
    path: Path, kind: int, label: bytes, secret: bytes, passphrase: Passphrase, cost: KdfCost
) -> None:
    """Seal ``secret`` into a new file; UserError when the file exists."""
    if path.exists():
        raise UserError(f"{path} exists already and is never overwritten: name another file")
    atomic_write(path, seal(kind, label, secret, passphrase, cost))


def read_label(path: Path, kind: int) -> bytes:
    """Return the label that a sealed file claims, without the passphrase (not authenticated)."""
    return _read(path, kind).label


def open_sealed(path: Path, kind: int, passphrase: Passphrase) -> tuple[bytes, bytes]:
    """Return (label, secret) of a sealed file; UserError names the file and what is wrong."""
    refuse_shared(path)
    sealed = _read(path, kind)
    return sealed.label, _unseal(path, sealed, passphrase)


def save_identity(path: Path, identity: Identity, passphrase: Passphrase, cost: KdfCost) -> None:
    """Write the identity's key to a new file; UserError when the file exists."""
    secret = identity.secret_bytes()
    write_sealed(path, KIND_IDENTITY, identity.node_id, secret, passphrase, cost)


def load_identity(path: Path, passphrase: Passphrase) -> Identity:
    """Return the identity in ``path``; UserError names the file and what is wrong with it."""
    label, secret = open_sealed(path, KIND_IDENTITY, passphrase)
    identity = Identity.from_secret(int.from_bytes(secret[:SECRET_BYTES], "big"))
    if len(secret) != SECRET_BYTES or identity.node_id != label:
        raise UserError(f"{path} holds a key that is not its node's: restore it from a backup")
    return identity


def read_node_id(path: Path) -> bytes:
    """Return the node id that ``path`` claims, without the passphrase (not authenticated)."""
    label = read_label(path, KIND_IDENTITY)
    if len(label) != NODE_ID_BYTES:
        raise UserError(f"{path} was altered: restore the file from a backup")
    return label


def _misplaced(path: Path) -> UserError:
    return UserError(f"{path} holds the share of another key or epoch: put the right file back")


def share_files(directory: Path) -> tuple[Path, ...]:
    """Return the share files in a directory, by name."""
    return tuple(sorted(directory.glob(f"*{SHARE_SUFFIX}")))


def read_share_label(path: Path) -> ShareLabel:
    """Return what the share in ``path`` claims to belong to (not authenticated before loading)."""
    try:
        label = ShareLabel.decode(read_label(path, KIND_SHARE))
    except LocalFault as error:
        raise UserError(f"{path} was altered: restore it from a backup") from error
    if label.file_name() != path.name:
        raise _misplaced(path)
    return label


class Keystore:
    """The key shares of one node, one sealed file per key and epoch."""

    def __init__(self, directory: Path, passphrase: Passphrase, cost: KdfCost = STRONG) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._cost = cost

    def path_of(self, label: ShareLabel) -> Path:
        """Return where the share of ``label`` lies or would lie."""
        return self._directory / label.file_name()

    def save(self, share: bytes, key_id: bytes, epoch: int, public_key: bytes) -> Path:
        """Seal ``share`` durably and return its path.

        Saving the same share again is accepted; another share under the same key id and epoch is a
        LocalFault, because the first one may be the only copy.
        """
        label = ShareLabel(key_id, epoch, public_key)
        path = self.path_of(label)
        if path.exists():
            if self.load(key_id, epoch, public_key) != share:
                raise LocalFault(f"{path} holds another share of the same epoch")
            return path
        write_sealed(path, KIND_SHARE, label.encode(), share, self._passphrase, self._cost)
        return path

    def load(self, key_id: bytes, epoch: int, public_key: bytes) -> bytes:
        """Return the share; UserError names the file and what is wrong with it."""
        label = ShareLabel(key_id, epoch, public_key)
        path = self.path_of(label)
        refuse_shared(path)
        sealed = _read(path, KIND_SHARE)
        if sealed.label != label.encode():
            raise _misplaced(path)
        return _unseal(path, sealed, self._passphrase)

    def labels(self) -> tuple[ShareLabel, ...]:
        """Return the labels of all share files, by name (not authenticated before ``load``)."""
        return tuple(read_share_label(path) for path in share_files(self._directory))

    def erase(self, key_id: bytes, epoch: int, public_key: bytes) -> None:
        """Remove a share for good, after its successor is active; absent is fine.

        The file is overwritten first. A journalling or wear-levelling disk may keep old blocks:
        what protects those is the passphrase.
        """
        path = self.path_of(ShareLabel(key_id, epoch, public_key))
        if not path.exists():
            return
        try:
            with open(path, "r+b") as stream:
                stream.write(secrets.token_bytes(path.stat().st_size))
                stream.flush()
                os.fsync(stream.fileno())
            path.unlink()
            sync_directory(self._directory)
        except OSError as error:
            raise Unavailable(f"cannot erase {path}: {remedy(path, error)}") from error
