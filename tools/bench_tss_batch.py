#!/usr/bin/env python3
"""Measure many signatures by one call, and what a party's memory holds meanwhile.

    python tools/bench_tss_batch.py [--memory]

The batch is compared with as many single signatures of the same parties in the same process, in
turns, so that the two ratios are figures which another machine repeats. ``--memory`` signs 800
digests at 7 of 10 with one party in a process of its own, on shares from a dealer, and shows by how
much that process has grown at most; it takes a minute or two.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

# A checkout must be measurable before the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attrs import frozen

from metanode.tss.batch import BatchSignSession
from metanode.tss.keyshare import Keyshare
from metanode.tss.lane import Signature
from metanode.tss.messages import Message
from tools.bench_tss import carry, generate, sign

BATCH, THRESHOLD, PARTIES = 100, 3, 4
MEMORY_BATCH, MEMORY_THRESHOLD, MEMORY_PARTIES = 800, 7, 10
MEASURED = 1


@frozen
class BatchMeasurement:
    """A batch at some threshold: its CPU seconds over all parties, what that and its bytes are to
    as many single signatures, each the median over ``runs``.
    """

    threshold: int
    parties: int
    digests: int
    cpu_s: float
    cpu_ratio: float
    bytes_ratio: float
    runs: int


def sign_batch(
    shares: Mapping[int, Keyshare], threshold: int, digests: Sequence[bytes]
) -> tuple[float, int]:
    """Return the CPU seconds and bytes of one batch by the first ``threshold`` parties."""
    signers, instance = tuple(range(1, threshold + 1)), os.urandom(32)
    begun = time.process_time()
    sessions = {
        party: BatchSignSession(shares[party], signers, digests, instance, os.urandom)
        for party in signers
    }
    delivered = carry(sessions)
    spent = time.process_time() - begun
    if not all(isinstance(each, Signature) for each in sessions[1].outcomes):
        raise SystemExit("a digest of the batch has no signature")
    return spent, delivered


def measure_batch(runs: int = 3, digests: int = BATCH) -> BatchMeasurement:
    """Measure single signatures and batches in turns; the first of each warms caches."""
    shares, _, _ = generate(THRESHOLD, PARTIES)
    listed = [os.urandom(32) for _ in range(digests)]
    sign(shares, THRESHOLD)
    sign_batch(shares, THRESHOLD, listed[:1])
    spent, ratios = [], []
    for _ in range(runs):
        singles = [sign(shares, THRESHOLD) for _ in range(digests)]
        together, together_bytes = sign_batch(shares, THRESHOLD, listed)
        spent.append(together)
        ratios.append(together / sum(each for each, _ in singles))
    return BatchMeasurement(
        threshold=THRESHOLD,
        parties=PARTIES,
        digests=digests,
        cpu_s=round(statistics.median(spent), 3),
        cpu_ratio=round(statistics.median(ratios), 3),
        bytes_ratio=round(together_bytes / sum(size for _, size in singles), 3),
        runs=runs,
    )


def show_batch(found: BatchMeasurement) -> None:
    """Print one line."""
    print(
        f"batch of {found.digests} at {found.threshold} of {found.parties}: {found.cpu_s:.2f} s "
        f"CPU of all parties, {found.cpu_ratio:.2f} of {found.digests} single signatures' CPU, "
        f"{found.bytes_ratio:.3f} of their bytes"
    )


def peak_mib() -> float:
    """Return the largest size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_party(
    ends: tuple[Connection, Connection], share: bytes, digests: Sequence[bytes], instance: bytes
) -> None:
    """Run one party in this process: messages in, answers out; at the end, by how much it grew."""
    connection, others = ends
    others.close()  # or the end of the other side would never be seen here
    keyshare, signers = Keyshare.from_bytes(share), tuple(range(1, MEMORY_THRESHOLD + 1))
    # A first signature loads what any signing needs, whatever the length of the list.
    BatchSignSession(keyshare, signers, digests[:1], bytes(32), os.urandom).start()
    before = peak_mib()
    session = BatchSignSession(keyshare, signers, digests, instance, os.urandom)
    connection.send(session.start())
    while session.state not in ("finished", "aborted"):
        connection.send(session.receive(connection.recv()))
    connection.send((session.state, before, peak_mib()))


def memory() -> None:
    """Sign with one party in a process of its own and print by how much that grew."""
    shares, _, _ = generate(MEMORY_THRESHOLD, MEMORY_PARTIES)
    digests, instance = [os.urandom(32) for _ in range(MEMORY_BATCH)], os.urandom(32)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(
        target=measured_party, args=((there, here), shares[MEASURED].to_bytes(), digests, instance)
    )
    child.start()
    there.close()
    signers = tuple(range(1, MEMORY_THRESHOLD + 1))
    peers = {
        party: BatchSignSession(shares[party], signers, digests, instance, os.urandom)
        for party in signers
        if party != MEASURED
    }
    queue: deque[Message] = deque(here.recv())
    queue += [message for peer in peers.values() for message in peer.start()]
    while queue:
        message = queue.popleft()
        for party, peer in peers.items():
            if party != message.sender and message.recipient in (None, party):
                queue += peer.receive(message)
        if message.sender != MEASURED and message.recipient in (None, MEASURED):
            here.send(message)
            queue += here.recv()
    state, before, peak = here.recv()
    child.join()
    print(
        f"batch of {MEMORY_BATCH} at {MEMORY_THRESHOLD} of {MEMORY_PARTIES}: {state}; one party's "
        f"process has {before:.0f} MiB before and {peak:.0f} MiB at most: {peak - before:.0f} more"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="800 digests at 7 of 10 instead")
    if parser.parse_args().memory:
        memory()
        return
    show_batch(measure_batch())


if __name__ == "__main__":
    main()
