"""Backups of a whole home: made and tried at once, verified, restored into an observing home."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from attrs import frozen

from metanode.errors import Unavailable, UserError, cause_and_mend
from metanode.runtime.home.archive import BackupLabel, Progress, read_archive, write_archive
from metanode.runtime.home.backups import BackupNote, note_backup
from metanode.runtime.home.config import Config, load_config
from metanode.runtime.home.copies import copy_home, still
from metanode.runtime.home.home import Home
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.home.restored import (
    MARK,
    ROUNDS_NEEDED,
    Observation,
    read_observation,
    vote_name,
    write_observation,
)
from metanode.runtime.secrets.keyshares import list_shares, verify_shares
from metanode.runtime.secrets.keystore import (
    COST_OF_PRESET,
    Passphrase,
    load_identity,
    read_node_id,
)
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import sync_directory
from metanode.runtime.store.signing_log import SigningLog
from metanode.runtime.store.stores import open_stores


@frozen
class Checked:
    """What a backup holds; ``opened`` tells whether its secrets were opened too."""

    label: BackupLabel
    votes: int
    shares: int
    opened: bool


def quiet(_octets: int) -> None:
    """Take progress, and tell nobody."""


def create(
    home: Home, config: Config, passphrase: Passphrase, target: Path, its_own: Passphrase, *,
    runs: bool, told: Progress = quiet,
) -> Checked:
    """Write a backup of a home to a new file, which gets its name after it was tried.

    ``passphrase`` opens the home, ``its_own`` the backup. The node may run: it waits for the moment
    of the copy. UserError, and no file, when something in the home does not open.
    """
    if target.exists():
        raise UserError(f"{target} exists already and is never overwritten: give another name")
    load_identity(home.identity, passphrase)
    with tempfile.TemporaryDirectory(prefix="metanode-backup-") as place:
        copy = Home(Path(place) / "home")
        with still(home) if runs else ProcessLock(home.lock):
            copy_home(home, copy, runs=runs)
        _leave_out_passphrase(home, copy, config)
        label = _label(copy, config)
        draft = _draft(target)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_TRUNC), "wb") as out:
                cost = COST_OF_PRESET[config.network.preset]
                write_archive(copy, out, label, its_own, cost, told=told)
                out.flush()
                os.fsync(out.fileno())
            checked = _tried(draft, its_own, passphrase, told, partial(_not_made, home))
            os.rename(draft, target)
            sync_directory(target.parent)
        except OSError as error:
            raise Unavailable(f"cannot write {target}: {remedy(target, error)}") from error
        finally:
            draft.unlink(missing_ok=True)
    note_backup(home, BackupNote(label.made, str(target.absolute()), label.epochs))
    return checked


def _draft(target: Path) -> Path:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UserError(
            f"cannot write to {target.parent}: {remedy(target.parent, error)}"
        ) from error
    os.close(descriptor)
    return Path(name)


def _leave_out_passphrase(home: Home, copy: Home, config: Config) -> None:
    """Take a passphrase that lies in the home out of the copy: it opens what lies beside it."""
    if config.node.passphrase_file is not None:
        file = (home.path / config.node.passphrase_file).resolve()
        if file.parent == home.path.resolve():
            (copy.path / file.name).unlink(missing_ok=True)


def _label(copy: Home, config: Config) -> BackupLabel:
    node_id = read_node_id(copy.identity)
    epochs = tuple(e.label.epoch for e in list_shares(copy, node_id) if e.file is not None)
    return BackupLabel(node_id.hex(), config.network_id().hex(), int(time.time()), epochs)


@contextmanager
def _unpacked(parent: Path | None) -> Iterator[Home]:
    """Yield an empty home of mode 0700 that is thrown away, unless it has been moved."""
    place = Path(tempfile.mkdtemp(prefix=".metanode-restore-", dir=parent))
    try:
        home = Home(place)
        for directory in (home.keyshares, home.trace):
            directory.mkdir(mode=0o700)
        yield home
    finally:
        shutil.rmtree(place, ignore_errors=True)


def verify(
    file: Path, its_own: Passphrase, passphrase: Passphrase | None, *, told: Progress = quiet
) -> Checked:
    """Unpack a backup on trial and open all of it; UserError says what is not whole.

    Without the home's passphrase identity and shares stay sealed, unless the backup's opens them.
    """
    return _tried(file, its_own, passphrase, told, partial(_no_good, file))


Refusal = Callable[[UserError, Home], UserError]
"""Tells of what is wrong with an unpacked home by names that its reader knows."""


def _not_made(home: Home, fault: UserError, unpacked: Home) -> UserError:
    said = str(fault).replace(str(unpacked.path), str(home.path))
    return UserError(f"no backup was made: {said}")


def _no_good(file: Path, fault: UserError, unpacked: Home) -> UserError:
    cause = cause_and_mend(fault)[0].replace(str(unpacked.path), "its home")
    return UserError(f"{file} is no good backup ({cause}): take another one")


def _tried(
    file: Path, its_own: Passphrase, passphrase: Passphrase | None, told: Progress,
    refusal: Refusal,
) -> Checked:
    with _unpacked(None) as home:
        label = read_archive(file, home, its_own, told=told)
        return _check(home, label, passphrase, refusal)


def _check(
    home: Home, label: BackupLabel, passphrase: Passphrase | None, refusal: Refusal
) -> Checked:
    try:
        return _checked(home, label, passphrase)
    except UserError as fault:
        raise refusal(fault, home) from fault


def _checked(home: Home, label: BackupLabel, passphrase: Passphrase | None) -> Checked:
    home.check_complete()
    config, node_id = load_config(home.config), read_node_id(home.identity)
    if (node_id.hex(), config.network_id().hex()) != (label.node_id, label.network_id):
        raise UserError("it is of another node than it says: use another copy of it")
    stores = open_stores(home, node_id)  # judged by the mark that was copied with them
    try:
        votes = len(stores.log.load().votes)
    finally:
        stores.close()
    entries = list_shares(home, node_id)
    lacking = [entry.name for entry in entries if entry.active and entry.file is None]
    if lacking:
        raise UserError(f"the share in force is missing ({lacking[0]}): mend the home first")
    if passphrase is not None:
        load_identity(home.identity, passphrase)
        for _, found in verify_shares(home, config, passphrase):
            if isinstance(found, UserError):
                raise found
    return Checked(label, votes, len(entries), passphrase is not None)


def restore(
    file: Path, home: Home, its_own: Passphrase, *, told: Progress = quiet
) -> Checked:
    """Unpack a backup into a new home, whose node observes; whole or not at all.

    UserError when there is something at ``home`` already, or the backup is not whole.
    """
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise UserError(f"{home.path} is not empty: name a new directory, nothing is overwritten")
    parent = home.path.absolute().parent
    if not parent.is_dir():
        raise UserError(f"there is no directory {parent}: make it first")
    with _unpacked(parent) as draft:
        label = read_archive(file, draft, its_own, told=told)
        checked = _check(draft, label, None, partial(_no_good, file))
        write_observation(draft, _begun(draft, label))
        note_backup(draft, BackupNote(label.made, str(file.absolute()), label.epochs))
        try:
            os.rename(draft.path, home.path)
            sync_directory(parent)
        except OSError as error:
            raise Unavailable(
                f"cannot write {home.path}: {remedy(home.path, error)}"
            ) from error
    return checked


def _begun(draft: Home, label: BackupLabel) -> Observation:
    """Return an observation that begins; what an observing home had found stays found."""
    began = Observation(label.made, int(time.time()))
    earlier = read_observation(draft)
    if earlier is not None:
        began.backup_made = min(began.backup_made, earlier.backup_made)
        began.forgotten = earlier.forgotten
    return began


def _votes(home: Home) -> set[str]:
    """Return the votes that the log knows by now: a history may have been imported."""
    log = SigningLog.open(home.signing_log, read_node_id(home.identity))
    try:
        return {vote_name(event, attempt) for event, attempt in log.load().votes}
    finally:
        log.close()


def resume(home: Home) -> Observation:
    """End the observation of a restored home at its operator's word; the node must be stopped.

    UserError when others have shown votes that its log does not know, or it was not heard enough.
    """
    with ProcessLock(home.lock):
        found = read_observation(home)
        if found is None:
            raise UserError(f"{home.path} does not observe: there is nothing to end")
        forgotten = set(found.forgotten) - _votes(home)
        if forgotten:
            raise UserError(
                f"this copy has forgotten {len(forgotten)} votes that others have shown, such as "
                f"event and attempt {min(forgotten)}: `history import` an export of the home that "
                "ran last, or let the network replace this node (`quorumchange --replace OLD=NEW`)"
            )
        if found.rounds < ROUNDS_NEEDED:
            raise UserError(
                f"it has observed {found.rounds} of {ROUNDS_NEEDED} rounds with enough holders: "
                "let the node run on"
            )
        (home.path / MARK).unlink()
        sync_directory(home.path)
        return found
