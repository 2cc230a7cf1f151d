"""Changing the passphrase of a home: all sealed files at once, whenever the process is killed.

Every file is sealed anew into ``passphrase.draft/``, read back, and only then does ONE rename to
``passphrase.new/`` decide: before it the old passphrase counts, after it the new one. The rest
(copying the files into their places) needs no passphrase and may be repeated, so the next process
that opens the home finishes it (:func:`settle`). A draft that was never renamed is thrown away, and
so is ``passphrase.done/``, whose files are all in place.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from metanode.errors import Unavailable, UserError
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import (
    KIND_IDENTITY,
    KIND_SHARE,
    MAX_SEALED_BYTES,
    KdfCost,
    Passphrase,
    load_identity,
    open_sealed,
    read_share_label,
    share_files,
    write_sealed,
)
from metanode.runtime.store.files import atomic_write, make_directory, read_bounded, sync_directory

DRAFT, DECIDED, DONE = "passphrase.draft", "passphrase.new", "passphrase.done"
FINISHED = "an interrupted change of passphrase was completed: the NEW passphrase counts"
_MEND = "mend the disk and run `keyshares verify`, which completes or undoes the change"
UNDONE = "an interrupted change of passphrase was undone: the OLD passphrase counts"


def is_unsettled(home: Home) -> bool:
    """Tell whether a change of passphrase was interrupted on this home."""
    return any((home.path / name).is_dir() for name in (DRAFT, DECIDED, DONE))


def settle(home: Home) -> str | None:
    """Complete or undo an interrupted change; return what to tell the operator, if anything.

    The caller holds the home's process lock. May be killed and repeated at any point.
    """
    said = None
    try:
        if (home.path / DRAFT).is_dir():
            _discard(home.path / DRAFT)
            said = UNDONE
        if (home.path / DECIDED).is_dir():
            _put_in_place(home)
            said = FINISHED
        if (home.path / DONE).is_dir():
            _discard(home.path / DONE)
            said = FINISHED
    except OSError as error:
        raise Unavailable(f"cannot write {home.path}: {error.strerror}: {_MEND}") from error
    return said


def change_passphrase(home: Home, old: Passphrase, new: Passphrase, cost: KdfCost) -> int:
    """Seal identity and shares under ``new``; return the number of shares.

    The caller holds the home's process lock. Raises UserError, and changes nothing, when a file
    does not open with ``old``.
    """
    settle(home)
    if hmac.compare_digest(old.secret, new.secret):
        raise UserError("the new passphrase is the old one: choose another")
    load_identity(home.identity, old)
    shares = share_files(home.keyshares)
    for path in shares:
        read_share_label(path)  # a misplaced share is refused, not sealed for good
    draft = home.path / DRAFT
    make_directory(draft)
    kinds = {home.identity: KIND_IDENTITY} | dict.fromkeys(shares, KIND_SHARE)
    try:
        for path, kind in kinds.items():
            label, secret = open_sealed(path, kind, old)
            copy = draft / path.name
            write_sealed(copy, kind, label, secret, new, cost)
            if open_sealed(copy, kind, new) != (label, secret):
                raise Unavailable(f"{copy} does not read back as it was written: use another disk")
    except (UserError, Unavailable):
        settle(home)
        raise
    try:
        os.rename(draft, home.path / DECIDED)
        sync_directory(home.path)
    except OSError as error:
        raise Unavailable(f"cannot write {home.path}: {error.strerror}: {_MEND}") from error
    settle(home)
    return len(shares)


def _put_in_place(home: Home) -> None:
    decided = home.path / DECIDED
    for path in sorted(decided.iterdir()):
        # Copied, not moved: a name that is lost in a power cut between two directories is a share.
        is_identity = path.name == home.identity.name
        target = home.identity if is_identity else home.keyshares / path.name
        atomic_write(target, read_bounded(path, MAX_SEALED_BYTES))
        for leftover in target.parent.glob(f".{target.name}.*"):
            leftover.unlink()  # of a run that was killed while it wrote
    # Renamed before it is emptied: a half-empty directory must never look decided.
    os.rename(decided, home.path / DONE)
    sync_directory(home.path)


def _discard(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    sync_directory(directory.parent)
