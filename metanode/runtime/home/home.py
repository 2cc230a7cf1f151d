"""The home of one node: the directory with everything that it must not lose.

::

    config.toml           the configuration (annotated)
    identity.key          the node's key, sealed under the passphrase
    keyshares/            one sealed file per key and epoch
    signing_log.sqlite    votes, locks, releases: NEVER restore an old copy over a newer one
    events.sqlite         every other disk cell of the protocol tables
    history.mark          how far both have come: a start compares
    chain_index.sqlite    custody's coins and blocks (can be lost: scanned again)
    peers.cbor            known endpoints (can be lost)
    trace/                every transition, one JSON line each, chained by hash
    admin.json            port and token of the running node
    node.log, node.lock   log lines; the lock of the running process
    passphrase.*/         only while a change of passphrase is under way
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from metanode.errors import UserError
from metanode.runtime.store.files import atomic_write, make_directory

if TYPE_CHECKING:  # these load cryptography and SQLAlchemy, which `--help` does not need
    from metanode.identity import Identity
    from metanode.runtime.home.config import Config
    from metanode.runtime.secrets.keystore import Passphrase


@frozen
class Home:
    """The layout under one directory; making the object touches nothing."""

    path: Path = field(converter=Path)

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.path / "config.toml"

    @property
    def identity(self) -> Path:
        """The sealed identity key."""
        return self.path / "identity.key"

    @property
    def signing_log(self) -> Path:
        """The signing history."""
        return self.path / "signing_log.sqlite"

    @property
    def events(self) -> Path:
        """The cell store."""
        return self.path / "events.sqlite"

    @property
    def mark(self) -> Path:
        """The history mark."""
        return self.path / "history.mark"

    @property
    def chain_index(self) -> Path:
        """The chain index."""
        return self.path / "chain_index.sqlite"

    @property
    def keyshares(self) -> Path:
        """The directory of sealed shares."""
        return self.path / "keyshares"

    @property
    def peers(self) -> Path:
        """The peer store."""
        return self.path / "peers.cbor"

    @property
    def trace(self) -> Path:
        """The directory of trace files."""
        return self.path / "trace"

    @property
    def admin(self) -> Path:
        """Port and token of the running node."""
        return self.path / "admin.json"

    @property
    def log(self) -> Path:
        """The log file."""
        return self.path / "node.log"

    @property
    def lock(self) -> Path:
        """The lock of the running process."""
        return self.path / "node.lock"

    def check_new(self) -> None:
        """Raise UserError when a node's files are here already."""
        for file in (self.config, self.identity, self.signing_log, self.events, self.mark):
            if file.exists():
                raise UserError(f"{file} exists already: choose an empty directory for a new node")

    def check_complete(self) -> None:
        """Raise UserError, with the mend, when something a node cannot run without is missing.

        A home with an identity but no signing log has lost its memory of what it signed: running on
        would sign the same events again.
        """
        from metanode.runtime.store import cells, signing_log
        from metanode.runtime.store.sqlite import missing

        self.check_home()
        for file, store in ((self.signing_log, signing_log), (self.events, cells)):
            if not file.is_file():
                raise missing(store.TITLE, file, store.MEND)

    def check_home(self) -> None:
        """Raise UserError, with the mend, when this is no home; its stores may be gone."""
        if not self.path.is_dir():
            raise UserError(f"no home at {self.path}: make one with `init --home {self.path}`")
        for file in (self.config, self.identity):
            if not file.is_file():
                raise UserError(
                    f"{self.path} is no node's home, {file.name} is missing: make one with `init`, "
                    "or restore the file from a backup"
                )
        make_directory(self.keyshares)
        make_directory(self.trace)


def create_home(
    home: Home, config: Config, passphrase: Passphrase, entropy: Callable[[int], bytes] = os.urandom
) -> Identity:
    """Make the home of a new node and return its new identity.

    Raises UserError when files of a node are there already. The identity is written last: a home
    that was only half made has none, so it is never mistaken for one that lost its signing log.
    """
    from metanode.identity import Identity
    from metanode.runtime.home.config_template import render
    from metanode.runtime.secrets.keystore import COST_OF_PRESET, save_identity
    from metanode.runtime.store.stores import create_stores

    home.check_new()
    was_there = home.path.exists()
    identity = Identity.generate(entropy)
    try:
        for directory in (home.path, home.keyshares, home.trace):
            make_directory(directory)
        create_stores(home, identity.node_id)
        atomic_write(home.config, render(config).encode("utf-8"))
        save_identity(home.identity, identity, passphrase, COST_OF_PRESET[config.network.preset])
    except BaseException:
        _undo(home, was_there)
        raise
    return identity


def _undo(home: Home, was_there: bool) -> None:
    """Remove a home that could not be made whole; none of its files was there before."""
    for store in (home.signing_log, home.events):
        for suffix in ("", "-wal", "-shm"):
            store.with_name(store.name + suffix).unlink(missing_ok=True)
    for file in (home.mark, home.config, home.identity):
        file.unlink(missing_ok=True)
    for directory in (home.keyshares, home.trace, *(() if was_there else (home.path,))):
        with contextlib.suppress(OSError):
            directory.rmdir()
