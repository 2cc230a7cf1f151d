"""Whether this node and its peers reach each other, agree on the time, and speak one protocol."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anyio

from metanode.errors import Unavailable, UserError
from metanode.protocol.links.handshake import VERSION
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.doctor.findings import Finding, fault, ok, told_by, warning
from metanode.runtime.doctor.patient import Patient
from metanode.runtime.net.names import resolve, resolve_own

DIAL_PATIENCE_S = 4.0
CLOCK_MEND = "set the clock, and keep it by NTP: timedatectl set-ntp true"


async def network(patient: Patient) -> AsyncIterator[Finding]:
    """Look at the own ports and at the peers; a running node has seen more than we can try."""
    config = patient.config
    if config is None:
        return
    advertised = config.node.advertise
    try:
        key = "node.listen" if advertised is None else "node.advertise"
        await resolve_own(key, advertised or config.node.listen)
    except UserError as error:
        yield told_by("port", error)
    if patient.status is not None:
        for finding in _running(patient, patient.status):
            yield finding
        return
    if not patient.runs:
        for name, endpoint in (("node.listen", config.node.listen),
                               ("admin.listen", config.admin.listen)):
            found = _free(patient, name, endpoint)
            if found is not None:
                yield found
    async for finding in _dialled(patient, (*config.node.peers, *config.network.seeds)):
        yield finding


# --- without a running node ----------------------------------------------------------------------


def _free(patient: Patient, name: str, endpoint: Endpoint) -> Finding | None:
    """Try to bind a port as the node will; None where the system chooses one."""
    if endpoint.port == 0:
        return None
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((endpoint.host, endpoint.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return fault(
                    "port", f"{name}: another process listens on {endpoint}",
                    f"stop it (ss -ltnp 'sport = :{endpoint.port}' shows it), or "
                    + patient.edit(f"set another {name}"),
                )
            return fault("port", f"{name}: {endpoint} cannot be used ({error.strerror})",
                         patient.edit(f"write an address of this machine into {name}"))
    if name != "node.listen":
        return None
    return ok("port", f"{endpoint} is free; whether peers reach it shows while the node runs")


async def _dialled(patient: Patient, named: tuple[Endpoint, ...]) -> AsyncIterator[Finding]:
    """Try to connect to each peer that the configuration names."""
    unreached: dict[str, str] = {}

    async def dial(endpoint: Endpoint) -> None:
        try:
            addresses = await resolve(endpoint)
        except Unavailable as error:
            unreached[str(endpoint)] = str(error)
            return
        for address in addresses:
            try:
                with anyio.fail_after(DIAL_PATIENCE_S):
                    await (await anyio.connect_tcp(address.host, address.port)).aclose()
                return
            except (OSError, TimeoutError):
                continue
        unreached[str(endpoint)] = f"{endpoint} does not answer"

    async with anyio.create_task_group() as tasks:
        for endpoint in dict.fromkeys(named):
            tasks.start_soon(dial, endpoint)
    mend = patient.edit("correct node.peers (ask that operator), or open the port there")
    if not named:
        yield warning("peers", "no peer is named: this node waits until others dial it",
                      patient.edit("name one member in node.peers"))
    elif len(unreached) == len(set(named)):
        yield fault("peers", f"none of the named peers answers: {'; '.join(unreached.values())}",
                    mend)
    elif unreached:
        yield warning("peers", "; ".join(unreached.values()), mend)
    else:
        yield ok("peers", f"all {len(set(named))} named peers answer on their ports")


# --- as a running node has seen it ---------------------------------------------------------------


def _running(patient: Patient, status: Mapping[str, Any]) -> Iterator[Finding]:
    address = status["address"]
    if address["fault"] is not None:
        yield fault("port", f"peers do not reach this node: {address['fault']}",
                    patient.edit("open or forward the port, or correct node.advertise"))
    elif not address["inbound"]:
        yield warning("port", "no peer has come in yet",
                      "open or forward the port, if that lasts for ten minutes")
    else:
        at = ", ".join(address["announced"])
        yield ok("port", f"{address['inbound']} peers have come in at {at}")
    yield from _links(patient, status)
    if status["health"] == "clock_off":
        yield fault("clock", "most linked peers have another time", CLOCK_MEND)
    elif status["links"]:
        yield ok("clock", f"as that of most of {len(status['links'])} linked peers")
    yield from _versions(patient, status)
    yield from _chain_fault(status)


def _links(patient: Patient, status: Mapping[str, Any]) -> Iterator[Finding]:
    linked, key = set(status["links"]), status["key"]
    refused = ", ".join(f"{n} times {why}" for why, n in sorted(status["refused"].items()))
    look = patient.command("peers") + "; compare `network id` with the others"
    if not linked:
        text = f"no peer is linked{f'; refused: {refused}' if refused else ''}"
        yield fault("peers", text, look)
        return
    if key is None:
        yield ok("peers", f"{len(linked)} peers are linked; there is no key yet")
        return
    others = set(key["roster"]) - {status["node_id"]}
    near = len(others & linked)
    gone = ", ".join(sorted(each[:16] for each in others - linked))
    if near + 1 < key["threshold"]:
        yield fault("peers", f"{near} of {len(others)} other holders are linked, and "
                    f"{key['threshold'] - 1} are needed to pay: {gone} are away", look)
    elif gone:
        yield warning("peers", f"holders are away: {gone}", "their operators must start them")
    else:
        yield ok("peers", f"all {len(others)} other holders are linked")


def _versions(patient: Patient, status: Mapping[str, Any]) -> Iterator[Finding]:
    if patient.peers is None or not status["links"]:
        return
    found = {peer["version"] for peer in patient.peers["peers"] if peer["version"]} or {VERSION}
    other = [reason for reason in status["refused"] if "version" in reason.lower()]
    if other:
        yield warning("versions", f"peers with another version were refused ({', '.join(other)})",
                      "bring all members to one version")
    else:
        said = ", ".join(map(str, sorted(found)))
        yield ok("versions", f"all linked peers speak version {said} of the protocol")


def _chain_fault(status: Mapping[str, Any]) -> Iterator[Finding]:
    if status["chain_fault"] is not None:
        cause, _, mend = str(status["chain_fault"]).rpartition(": ")
        yield fault("daemon", f"the running node says: {cause}", mend)
    unwell = [peer for peer in status["peers"] if not peer["self"] and peer["health"] != "ok"]
    for peer in unwell:
        yield warning("peers", f"{peer['node_id'][:16]} says of itself: {peer['health']}",
                      "its operator must mend it")
