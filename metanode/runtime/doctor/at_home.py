"""What can be told from the home alone: files, modes, configuration, space, passphrase, run."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from metanode.errors import UserError
from metanode.runtime.doctor.findings import Finding, fault, ok, told_by, warning
from metanode.runtime.doctor.patient import Patient, beside
from metanode.runtime.home.config import load_config
from metanode.runtime.home.restored import is_observing
from metanode.runtime.net.names import loopback_fault
from metanode.runtime.secrets.keystore import (
    load_identity,
    read_node_id,
    read_passphrase_file,
    share_files,
)
from metanode.runtime.secrets.passphrase_change import is_unsettled
from spec.parameters import PRESETS

PUT_BACK = (
    "put the file itself back, together with its -wal; an older copy could make this node sign "
    "twice"
)
LOG_TAIL_BYTES = 64 << 10
DEFECT = b"Traceback (most recent call last)"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def files(patient: Patient) -> Iterator[Finding]:
    """Look whether everything is there that a node cannot run without."""
    home, restore = patient.home, "metanode backup restore FILE"
    missing = False
    for path, title, mend in (
        (home.config, "configuration", f"{restore}, or write it again"),
        (home.identity, "identity", f"{restore}; without the key the stake is lost"),
        (home.signing_log, "signing log", PUT_BACK),
        (home.events, "event store", PUT_BACK),
    ):
        if not path.is_file():
            missing = True
            yield fault("files", f"the {title} is missing: {path}", mend)
    if not missing:
        yield ok("files", f"{home.path} has all that a node needs")


def configuration(patient: Patient) -> Iterator[Finding]:
    """Read the configuration, and keep it for the checks to come."""
    home = patient.home
    check = patient.command("config check")
    try:
        patient.config = load_config(home.config)
    except UserError as error:
        yield fault("configuration", str(error), f"correct the key, then {check}")
        return
    try:
        patient.node_id = read_node_id(home.identity)
    except UserError as error:
        yield fault("identity", str(error), "metanode backup restore FILE")
    config = patient.config
    complaint = loopback_fault(config.network.preset, config.node.listen, config.node.advertise)
    if complaint is not None:
        yield warning("configuration", *complaint.split(": ", 1))
    else:
        yield ok("configuration", f"network id {config.network_id().hex()}")


def permissions(patient: Patient) -> Iterator[Finding]:
    """Look who else may read or change what is in the home."""
    home, found = patient.home, False
    private = [
        home.config, home.identity, home.mark, home.admin, home.peers, home.lock,
        *share_files(home.keyshares),
    ]
    for store in (home.signing_log, home.events, home.chain_index):
        private += [store, Path(f"{store}-wal")]
    for path in (home.path, home.keyshares, home.trace, *private):
        for finding in _mode(path, private_to=os.geteuid()):
            found = True
            yield finding
    if os.statvfs(home.path).f_flag & os.ST_RDONLY:
        found = True
        yield fault("permissions", f"{home.path} is on a file system that is read-only",
                    f"mount -o remount,rw $(stat -c %m {home.path})")
    elif not os.access(home.path, os.W_OK):
        found = True
        yield fault("permissions", f"{home.path} cannot be written", f"chmod 700 {home.path}")
    if not found:
        yield ok("permissions", "nobody else may read or change the home")


def _mode(path: Path, *, private_to: int) -> Iterator[Finding]:
    try:
        found = path.stat()
    except OSError:
        return  # what is missing is another check's business
    if found.st_uid != private_to:
        yield fault("permissions", f"{path} belongs to user {found.st_uid}, not to {private_to}",
                    f"chown {private_to} {path}")
    if found.st_mode & _OTHERS:
        wanted = 700 if path.is_dir() else 600
        mode = stat.S_IMODE(found.st_mode)
        yield fault("permissions", f"{path} is open to other users (mode {mode:04o})",
                    f"chmod {wanted} {path}")


def space(patient: Patient) -> Iterator[Finding]:
    """Look at the free space, against what the node itself takes for nearly full."""
    preset = PRESETS["mainnet"] if patient.config is None else patient.config.parameters()
    least, free = preset.disk_least_octets, shutil.disk_usage(patient.home.path).free
    text = f"{free >> 20} MB are free where {patient.home.path} is"
    mend = f"free some space; du -sh {patient.home.trace} shows what evidence takes"
    if free < least:
        yield fault("disk", f"{text}, and a node needs {least >> 20}", mend)
    elif free < 4 * least:
        yield warning("disk", text, mend)
    else:
        yield ok("disk", text)


def passphrase(patient: Patient) -> Iterator[Finding]:
    """Look whether the configured passphrase opens the identity."""
    home, config = patient.home, patient.config
    if is_unsettled(home):
        yield warning("passphrase", "a change of the passphrase was interrupted",
                      patient.command("keyshares verify"))
    if config is None or patient.node_id is None:
        return
    if config.node.passphrase_file is None:
        yield ok("passphrase", "asked for at each start; not tried here")
        return
    file = beside(home, config.node.passphrase_file)
    try:
        load_identity(home.identity, read_passphrase_file(file))
    except UserError as error:
        yield told_by("passphrase", error)
    else:
        yield ok("passphrase", f"{file} opens the identity")


def process(patient: Patient) -> Iterator[Finding]:
    """Look whether the node runs and answers, and how the last one ended."""
    home, start = patient.home, patient.command("run")
    if patient.status is not None:
        yield ok("process", f"the node runs since {patient.status['uptime_s']} s")
    elif patient.runs:
        yield fault("process", f"a node runs on {home.path} and does not answer "
                    f"({patient.silence})", "stop it with SIGTERM, then " + start)
    elif home.admin.exists():
        yield warning("process", "no node runs, and the last one was killed", start)
    else:
        yield warning("process", "no node runs", start)
    if is_observing(home):
        yield warning(
            "process", "this home was restored: the node observes, and votes for nothing",
            patient.command("backup resume"),
        )
    if _tail(home.log).rfind(DEFECT) >= 0:
        yield warning("log", f"{home.log} tells of a defect in this program",
                      f"report it: grep -n -A40 Traceback {home.log}")


def _tail(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return stream.read(LOG_TAIL_BYTES)
    except OSError:
        return b""
