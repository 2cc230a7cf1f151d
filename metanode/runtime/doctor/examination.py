"""The whole examination of a home, in the order in which faults hide each other."""

from __future__ import annotations

from metanode.errors import MetanodeError
from metanode.runtime.doctor import among_peers, at_daemon, at_home, stores
from metanode.runtime.doctor.findings import Finding, fault
from metanode.runtime.doctor.patient import Patient, is_running
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import fetch_json, fetch_status


async def examine(home: Home) -> list[Finding]:
    """Return what is found in and around a home; changes nothing there, nor at peers or daemon."""
    if not home.path.is_dir():
        mend = f"metanode init --home {home.path}"
        return [fault("files", f"there is no home at {home.path}", mend)]
    patient = Patient(home, runs=is_running(home))
    if patient.runs:
        try:
            patient.status, patient.peers = fetch_status(home), fetch_json(home, "/peers")
        except MetanodeError as silence:
            patient.silence = silence
    found: list[Finding] = []
    for check in (
        at_home.files, at_home.configuration, at_home.permissions, at_home.space,
        at_home.passphrase, at_home.process, stores.stores,
    ):
        found += check(patient)
    for look in (at_daemon.daemon, among_peers.network):
        found += [finding async for finding in look(patient)]
    return found
