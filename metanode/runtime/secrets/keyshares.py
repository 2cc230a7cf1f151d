"""The key shares of a home as its operator handles them: list, verify, export, import, back up.

The keystore knows sealed files, the event store knows which keys count. Here the two are held
against each other, because a share that opens may still be that of a key this node no longer has.
"""

from __future__ import annotations

import hmac
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

from metanode.errors import LocalFault, Malformed, Unavailable, UserError
from metanode.protocol.keys.epoch import decode_epoch
from metanode.protocol.keys.keygen import USABLE
from metanode.runtime.home.config import Config, load_config
from metanode.runtime.home.home import Home
from metanode.runtime.home.owner import OWNER_BYTES, Owner
from metanode.runtime.secrets.keystore import (
    COST_OF_PRESET,
    KIND_EXPORT,
    MAX_SEALED_BYTES,
    Keystore,
    Passphrase,
    ShareLabel,
    load_identity,
    open_sealed,
    read_label,
    read_share_label,
    share_files,
    write_sealed,
)
from metanode.runtime.store.cells import MEND, TITLE, CellStore
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import (
    atomic_write,
    make_directory,
    read_bounded,
    sync_directory,
)
from metanode.tss.keyshare import Keyshare

LOCKED_IN = "locked_in"
IN_FORCE = (LOCKED_IN, "active", "fenced")
NEEDED = (*USABLE, "prepared", "active", "fenced")
UNKNOWN = "unknown"
"""The state of a share file whose key the event store does not know."""


@frozen
class ShareEntry:
    """One key and epoch of this node; ``file`` is None when its share is missing.

    ``threshold``, ``index`` (this node's, from 1) and ``members`` are the event store's word, None
    for a share that it does not know. ``state`` is the share's in the table `regroup`, or the key's
    in `keygen` before it is locked in; ``active`` says that its epoch is in force.
    """

    label: ShareLabel
    file: Path | None
    state: str
    active: bool = False
    threshold: int | None = None
    index: int | None = None
    members: int | None = None

    @property
    def name(self) -> str:
        """Return how messages name it."""
        return f"key {self.label.key_id.hex()[:16]}, epoch {self.label.epoch}"


# --- what there is ------------------------------------------------------------------------------


def _known(home: Home, node_id: bytes) -> list[ShareEntry]:
    """Return the epochs of the event store that this node must have a share of, and older ones."""
    store = CellStore.open(home.events, node_id)
    try:
        cells, attached = store.load(), store.load_attachments()
    finally:
        store.close()
    keys, holding = cells.get("key", {}), cells.get("holding", {})
    found = []
    for cell in ("key_share", "holding"):
        for index, data in attached.get(cell, {}).items():
            try:
                epoch = decode_epoch(data)
                position = epoch.index_of(node_id)
            except (Malformed, ValueError) as error:
                raise UserError(f"{TITLE} damaged: {home.events}; {MEND}") from error
            label = ShareLabel(epoch.key_id, epoch.number, epoch.public_key)
            made = keys.get(index) if cell == "key_share" else None
            state = str(made if made not in (None, LOCKED_IN) else
                        holding.get((node_id, epoch.number), made))
            found.append(
                ShareEntry(label, None, state, False, epoch.threshold, position, len(epoch.members))
            )
    return found


def list_shares(home: Home, node_id: bytes) -> tuple[ShareEntry, ...]:
    """Return every share that is there or should be; nothing is opened, no label authenticated."""
    known, files = _known(home, node_id), {p.name: p for p in share_files(home.keyshares)}
    found = []
    for entry in known:
        file = files.pop(entry.label.file_name(), None)
        if file is not None or entry.state in NEEDED:
            found.append(evolve(entry, file=file))
    found += [ShareEntry(read_share_label(path), path, UNKNOWN) for path in files.values()]
    newest = max((e.label.epoch for e in known if e.state in IN_FORCE), default=None)
    return tuple(
        evolve(e, active=e.state in IN_FORCE and e.label.epoch == newest)
        for e in sorted(found, key=lambda e: (e.label.key_id, e.label.epoch))
    )


def choose(entries: tuple[ShareEntry, ...], key: str | None, epoch: int | None) -> ShareEntry:
    """Return the one entry with a file that fits ``key`` (start of a key id) and ``epoch``."""
    fitting = [
        e for e in entries if e.file is not None
        and e.label.key_id.hex().startswith((key or "").lower()) and epoch in (None, e.label.epoch)
    ]
    if len(fitting) == 1:
        return fitting[0]
    found = "; ".join(e.name for e in entries if e.file is not None) or "none"
    verdict = "no share fits" if not fitting else "several shares fit"
    raise UserError(f"{verdict}: name one with --key and --epoch; here are: {found}")


# --- opening ------------------------------------------------------------------------------------


def _parse(path: Path, data: bytes, entry: ShareEntry) -> Keyshare:
    """Return the share in ``data``; UserError unless it is whole and the one of ``entry``.

    The share's own reader checks that the secret belongs to its public share, that all public
    shares lie on one polynomial through the key, and that there is a state for every other party.
    """
    try:
        share = Keyshare.from_bytes(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    label = entry.label
    if (share.key_id, share.epoch, share.public_key) != (
        label.key_id, label.epoch, label.public_key
    ):
        raise UserError(f"{path} holds the share of another key or epoch: put the right file back")
    found = (share.threshold, share.party_index, len(share.public_shares))
    if entry.state != UNKNOWN and found != (entry.threshold, entry.index, entry.members):
        raise UserError(
            f"{path} holds share {found[1]} of {found[2]} (threshold {found[0]}), this node's is "
            f"{entry.index} of {entry.members} (threshold {entry.threshold}): put the right file "
            "back"
        )
    return share


def open_share(keystore: Keystore, entry: ShareEntry) -> Keyshare:
    """Open and check one share; UserError names the file and what is wrong with it."""
    label = entry.label
    if entry.file is None:
        raise UserError(
            f"{keystore.path_of(label)} is missing: put the file back, or import an export of it"
        )
    return _parse(entry.file, keystore.load(label.key_id, label.epoch, label.public_key), entry)


def verify_shares(
    home: Home, config: Config, passphrase: Passphrase
) -> Iterator[tuple[ShareEntry, Keyshare | UserError]]:
    """Open every share of a home; yield each with its content, or with what is wrong with it."""
    identity = load_identity(home.identity, passphrase)
    keystore = _keystore(home, config, passphrase)
    for entry in list_shares(home, identity.node_id):
        try:
            yield entry, open_share(keystore, entry)
        except UserError as fault:
            yield entry, fault


def _keystore(home: Home, config: Config, passphrase: Passphrase) -> Keystore:
    return Keystore(home.keyshares, passphrase, COST_OF_PRESET[config.network.preset])


# --- export and import --------------------------------------------------------------------------


def export_share(
    home: Home, config: Config, passphrase: Passphrase, entry: ShareEntry, target: Path,
    new_passphrase: Passphrase,
) -> None:
    """Write one checked share to a new file, sealed under ``new_passphrase``, and read it back."""
    node_id = load_identity(home.identity, passphrase).node_id
    share = open_share(_keystore(home, config, passphrase), entry).to_bytes()
    label = Owner(config.network_id(), node_id).encode() + entry.label.encode()
    cost = COST_OF_PRESET[config.network.preset]
    write_sealed(target, KIND_EXPORT, label, share, new_passphrase, cost)
    if open_sealed(target, KIND_EXPORT, new_passphrase) != (label, share):
        raise Unavailable(f"{target} does not read back as it was written: use another disk")


def import_share(
    home: Home, config: Config, passphrase: Passphrase, source: Path, its_passphrase: Passphrase
) -> ShareEntry:
    """Put an exported share back in its place; UserError, and no change, when it is not wanted.

    It must be of this network, this node, and a key that the event store counts on, in the newest
    epoch there is; and its place must be empty.
    """
    node_id = load_identity(home.identity, passphrase).node_id
    here = Owner(config.network_id(), node_id)
    label = _import_label(source, here)
    entry = _wanted(home, node_id, source, label)
    keystore = _keystore(home, config, passphrase)
    target = keystore.path_of(label)
    if target.exists():
        raise UserError(
            f"{target} exists already and is never overwritten: if it is damaged, move it away"
        )
    share = _parse(source, open_sealed(source, KIND_EXPORT, its_passphrase)[1], entry)
    keystore.save(share.to_bytes(), label.key_id, label.epoch, label.public_key)
    return evolve(entry, file=target)


def _import_label(source: Path, here: Owner) -> ShareLabel:
    data = read_label(source, KIND_EXPORT)
    try:
        owner, label = Owner.decode(data[:OWNER_BYTES]), ShareLabel.decode(data[OWNER_BYTES:])
    except LocalFault as error:
        raise UserError(f"{source} was altered: export the share again") from error
    if owner.network_id != here.network_id:
        raise UserError(
            f"{source} belongs to network {owner.network_id.hex()[:16]}, this home to "
            f"{here.network_id.hex()[:16]}: use a file of this network"
        )
    if owner.node_id != here.node_id:
        raise UserError(
            f"{source} belongs to node {owner.node_id.hex()[:16]}, this home to "
            f"{here.node_id.hex()[:16]}: use a file of this node"
        )
    return label


def _wanted(home: Home, node_id: bytes, source: Path, label: ShareLabel) -> ShareEntry:
    entries = list_shares(home, node_id)
    newer = [
        e.label.epoch for e in entries
        if e.label.key_id == label.key_id and e.label.epoch > label.epoch
    ]
    if newer:
        raise UserError(
            f"{source} holds epoch {label.epoch}, this home is at epoch {max(newer)}: an older "
            "share cannot sign any more; use an export of the newest epoch"
        )
    for entry in entries:
        if entry.label == label:
            return entry
    raise UserError(
        f"{source} holds key {label.key_id.hex()[:16]}, epoch {label.epoch}, which this home does "
        "not count on: use an export of a key that `keyshares list` shows"
    )


# --- back up ------------------------------------------------------------------------------------


def back_up(home: Home, passphrase: Passphrase, target: Path) -> int:
    """Copy configuration, identity and shares to the new directory ``target``; return how many.

    The copy gets its name only after a trial: it is restored into a directory of its own, opened
    with the passphrase, and compared with the home secret by secret. The signing log is left out
    on purpose: an older copy of it could make the node sign twice.
    """
    if target.exists():
        raise UserError(f"{target} exists already and is never overwritten: name a new directory")
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        fault = f"cannot write to {target.parent}: {remedy(target.parent, error)}"
        raise UserError(fault) from error
    try:
        _copy(home, Home(draft))
        count = _try_restore(home, draft, passphrase)
        os.rename(draft, target)
        sync_directory(target.parent)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise Unavailable(f"cannot write {target}: {remedy(target, error)}") from error
        raise
    return count


def _copy(source: Home, target: Home) -> None:
    make_directory(target.keyshares)
    files = [(source.config, target.config), (source.identity, target.identity)]
    files += [(path, target.keyshares / path.name) for path in share_files(source.keyshares)]
    for path, copy in files:
        atomic_write(copy, read_bounded(path, MAX_SEALED_BYTES))


def _try_restore(home: Home, draft: Path, passphrase: Passphrase) -> int:
    """Restore the copy elsewhere, open all of it, compare; return the number of shares."""
    with tempfile.TemporaryDirectory(prefix="metanode-trial-") as place:
        trial = Home(place)
        _copy(Home(draft), trial)
        config = load_config(trial.config)
        if config != load_config(home.config):
            raise Unavailable(f"the copy of {home.config} differs from it: use another disk")
        node_id = load_identity(home.identity, passphrase).node_id
        if load_identity(trial.identity, passphrase).node_id != node_id:
            raise Unavailable(f"the copy of {home.identity} differs from it: use another disk")
        entries = list_shares(home, node_id)
        for entry in entries:
            ours = open_share(_keystore(home, config, passphrase), entry).to_bytes()
            copy = evolve(entry, file=trial.keyshares / entry.label.file_name())
            theirs = open_share(_keystore(trial, config, passphrase), copy).to_bytes()
            if not hmac.compare_digest(ours, theirs):
                raise Unavailable(f"the copy of {entry.file} differs from it: use another disk")
        return len(entries)
