"""What the stores of a home hold together: signing history, shares, and their last backup.

They are opened in a copy: opening a store writes beside it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from metanode.errors import MetanodeError, UserError
from metanode.runtime.doctor.findings import Finding, fault, ok, told_by, warning
from metanode.runtime.doctor.patient import Patient, beside
from metanode.runtime.home.backups import last_backup
from metanode.runtime.home.copies import trial_copy
from metanode.runtime.home.home import Home
from metanode.runtime.home.owner import Owner
from metanode.runtime.secrets.keyshares import ShareEntry, list_shares, verify_shares
from metanode.runtime.secrets.keystore import read_passphrase_file
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.history import check_exportable, encode_history
from metanode.runtime.store.history_mark import Marked, misfit, read_mark
from metanode.runtime.store.signing_log import SigningHistory, SigningLog
from metanode.runtime.store.trace import trace_files

BACKUP_AGE_S = 7 * 86_400
NEVER_BACK = (
    "do not start it; `metanode history import` the newest export, or stop using this home: "
    "an older copy of the signing log could sign twice"
)
_MARK = re.compile(r"(voted|lock|released)\[[0-9a-f]+, ([0-9a-f]+)(?:, ([0-9a-f]+))?\]")


def stores(patient: Patient) -> Iterator[Finding]:
    """Open a copy of the stores; look at the history, the shares and the backup."""
    home = patient.home
    if patient.config is None or patient.node_id is None:
        return
    if not (home.signing_log.is_file() and home.events.is_file()):
        return
    said = _said_in_trace(home.trace)  # first: what the trace tells was on disk before
    try:
        first = read_mark(home.mark, patient.node_id) if home.mark.exists() else None
        with trial_copy(home, runs=patient.runs) as copy:
            try:
                yield from _history(patient, copy, said, first)
                yield from _shares(patient, copy)
            except UserError as error:
                shown = str(error).replace(str(copy.path), str(home.path))
                yield told_by("history", UserError(shown))
    except MetanodeError as error:
        yield told_by("history", error)


# --- the signing history -------------------------------------------------------------------------


def _said_in_trace(trace: Path) -> set[tuple[str, str, str]]:
    """Return what the newest trace file says was written: (cell, event, attempt or digest)."""
    files = [path for path in trace_files(trace) if path.is_file()] if trace.is_dir() else []
    found: set[tuple[str, str, str]] = set()
    if not files:
        return found
    with open(files[-1], "rb") as stream:
        for line in stream:
            if b'"voted[' not in line and b'"lock[' not in line and b'"released[' not in line:
                continue
            try:
                writes = json.loads(line).get("writes", ())
            except (ValueError, AttributeError):
                continue
            for write in writes:
                if match := _MARK.fullmatch(str(write)):
                    found.add((match[1], match[2], match[3] or ""))
    return found


def _forgotten(history: SigningHistory, said: set[tuple[str, str, str]]) -> list[str]:
    """Return what the trace tells and the log does not know; events are cut short in a trace."""
    votes = {(event.hex()[:16], str(attempt)) for event, attempt in history.votes}
    locks = {event.hex()[:16] for event in history.locks}
    releases = {(event.hex()[:16], digest.hex()[:16]) for event, digest in history.releases}
    lost = []
    for cell, event, rest in sorted(said):
        known = {
            "voted": (event[:16], rest) in votes,
            "lock": event[:16] in locks,
            "released": (event[:16], rest[:16]) in releases,
        }
        if not known[cell]:
            lost.append(f"{cell} of event {event}")
    return lost


def _history(
    patient: Patient, copy: Home, said: set[tuple[str, str, str]], first: Marked | None
) -> Iterator[Finding]:
    if patient.config is None or patient.node_id is None:
        return
    history = _judged(patient.node_id, copy, first)
    owner = Owner(patient.config.network_id(), patient.node_id)
    check_exportable(encode_history(history, owner), owner, patient.home.signing_log)
    lost = _forgotten(history, said)
    if lost:
        yield fault(
            "history",
            f"the signing log has gone back: it does not know {len(lost)} things that the trace "
            f"tells, such as the {lost[0]}",
            NEVER_BACK,
        )
    else:
        counts = f"{len(history.votes)} votes, {len(history.locks)} locks"
        yield ok("history", f"{counts}, each with what it rests on; nothing is missing")


def _judged(node_id: bytes, copy: Home, first: Marked | None) -> SigningHistory:
    """Return the signing history of a copy; UserError when a store is not where the mark has it.

    ``first`` is the mark of before the copy was made; the copy's own was taken after its stores.
    """
    store = CellStore.open(copy.events, node_id)
    store.close()
    log = SigningLog.open(copy.signing_log, node_id)
    try:
        if not (first is None and log.headless and store.headless):  # else of an earlier version
            last = read_mark(copy.mark, node_id)
            places = (log.path, log.stand), (store.path, store.stand)
            if complaint := misfit(*places, first or last, last):
                raise UserError(complaint)
        return log.load()
    finally:
        log.close()


# --- shares and backup ---------------------------------------------------------------------------


def _shares(patient: Patient, copy: Home) -> Iterator[Finding]:
    config, node_id = patient.config, patient.node_id
    if config is None or node_id is None:
        return
    entries = list_shares(copy, node_id)
    active = [entry for entry in entries if entry.active]
    key = None if patient.status is None else patient.status.get("key")
    if key is not None and node_id.hex() not in key["roster"]:
        yield ok("share", "this node holds no share: it is in no roster now")
        return
    if not active and key is None:
        yield ok("share", "there is no key yet")
        return
    mend = patient.command("keyshares import -- FILE") + ", or wait: a night gives a new share"
    missing = [entry for entry in active if entry.file is None]
    if missing or not active:
        name = missing[0].name if missing else f"epoch {'' if key is None else key['epoch']}"
        yield fault("share", f"the share in force is missing: {name}", mend)
        return
    in_force = active[0].label.epoch
    if key is not None and key["epoch"] != in_force:
        yield fault("share", f"the share here is of epoch {in_force}, the key is at "
                    f"{key['epoch']}", mend)
        return
    yield from _opened(patient, copy, active[0], mend)
    yield from _backup(patient, in_force)


def _opened(patient: Patient, copy: Home, entry: ShareEntry, mend: str) -> Iterator[Finding]:
    config = patient.config
    text = f"{entry.name} is here and in force"
    if config is None or config.node.passphrase_file is None:
        yield ok("share", f"{text}; not opened, since that needs the passphrase")
        return
    try:
        word = read_passphrase_file(beside(patient.home, config.node.passphrase_file))
        found = {each.label: share for each, share in verify_shares(copy, config, word)}
    except UserError:
        return  # the passphrase's own line tells of it
    share = found.get(entry.label)
    if isinstance(share, UserError):
        shown = str(share).replace(str(copy.path), str(patient.home.path))
        yield fault("share", shown, mend)
    else:
        yield ok("share", f"{text}, and it opens")


def _backup(patient: Patient, epoch: int) -> Iterator[Finding]:
    mend = patient.command("backup create -- --to FILE")
    note, now = last_backup(patient.home), time.time()
    if note is None:
        yield warning("backup", "no backup is known of", mend)
    elif epoch not in note.epochs:
        yield warning("backup", f"{note.path} lacks the share in force, of epoch {epoch}", mend)
    elif now - note.made > BACKUP_AGE_S:
        yield warning("backup", f"{note.path} is {(now - note.made) / 86_400:.0f} days old", mend)
    else:
        yield ok("backup", f"{note.path}, {(now - note.made) / 3600:.0f} hours old")
