#!/usr/bin/env python3
"""Measure the threshold engine: CPU time of dealings and signing, bytes per ordered pair, memory.

    python tools/bench_tss.py [--json FILE] [--setting 3-4,7-10] [--quick] [--no-peer] [--large]

Times are medians of process CPU time summed over all parties, which run one after another in this
process; messages are handed over in memory. Entropy comes from the operating system. Where Node.js
is there, the npm package that users would pick otherwise is installed below ``.bench`` and measured
in the same run, and the ratio of ours to it is shown: the only figure that another machine repeats.
A reshare goes from the first t members to all n, with the same threshold. ``--large`` measures what
one party of 32 of 60 does instead (``bench_tss_large.py``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A checkout must be measurable before the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attrs import asdict, evolve, frozen

from metanode.tss.batch import BatchSignSession
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare
from metanode.tss.refresh import RefreshSession
from metanode.tss.reshare import ReshareSession
from metanode.tss.session import Session
from metanode.tss.sign import SignSession

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SETTINGS = ((2, 3), (3, 4), (5, 7), (7, 10))
PEER = "@silencelaboratories/dkls-wasm-ll-node"
PEER_VERSION = "1.1.2"
DIGEST = hashlib.sha256(b"benchmark").digest()


@frozen
class Measurement:
    """One row: ``threshold`` of ``parties``; CPU medians over all parties; bytes per ordered pair.

    Bytes count every message once per recipient, broadcasts included.
    """

    threshold: int
    parties: int
    keygen_s: float
    refresh_s: float
    reshare_s: float
    sign_ms: float
    sign_per_party_ms: float
    keygen_pair_bytes: int
    sign_pair_bytes: int
    keygen_runs: int
    sign_runs: int
    peer_keygen_s: float | None = None
    peer_sign_ms: float | None = None


def carry(sessions: Mapping[int, Session[Any] | BatchSignSession]) -> int:
    """Run the sessions to their end; return the payload bytes delivered."""
    delivered = 0
    queue = deque(message for session in sessions.values() for message in session.start())
    while queue:
        message = queue.popleft()
        for party, session in sessions.items():
            if party != message.sender and message.recipient in (None, party):
                delivered += len(message.payload)
                queue += session.receive(message)
    for session in sessions.values():
        if session.result is None:
            raise SystemExit(f"a session did not finish: {session.state}, {session.abort}")
    return delivered


def identity_keys(count: int) -> list[bytes]:
    """Return ascending stand-ins for node ids."""
    return [bytes((2,)) + bytes(31) + bytes((party,)) for party in range(1, count + 1)]


def generate(threshold: int, count: int) -> tuple[dict[int, Keyshare], float, int]:
    """Return the key shares of one key generation, its CPU seconds and its bytes."""
    keys = identity_keys(count)
    begun = time.process_time()
    context = os.urandom(32)
    sessions = {
        party: KeygenSession(
            party, range(1, count + 1), threshold, context, keys, 0, os.urandom
        )
        for party in range(1, count + 1)
    }
    delivered = carry(sessions)
    spent = time.process_time() - begun
    shares = {p: s.result for p, s in sessions.items() if s.result is not None}
    return shares, spent, delivered


def refresh(shares: Mapping[int, Keyshare]) -> float:
    """Return the CPU seconds of one refresh by all parties."""
    keys, context = identity_keys(len(shares)), os.urandom(32)
    begun = time.process_time()
    carry({p: RefreshSession(share, context, keys, os.urandom) for p, share in shares.items()})
    return time.process_time() - begun


def reshare(shares: Mapping[int, Keyshare], threshold: int) -> float:
    """Return the CPU seconds of one reshare by the first ``threshold`` parties to all."""
    keys, context = identity_keys(len(shares)), os.urandom(32)
    dealers = range(1, threshold + 1)
    begun = time.process_time()
    sessions = {
        party: ReshareSession(
            keys[party - 1],
            share.package,
            keys,
            dealers,
            keys,
            threshold,
            context,
            os.urandom,
            keyshare=share if party in dealers else None,
        )
        for party, share in shares.items()
    }
    carry(sessions)
    return time.process_time() - begun


def sign(shares: Mapping[int, Keyshare], threshold: int) -> tuple[float, int]:
    """Return the CPU seconds and bytes of one signature by the first ``threshold`` parties."""
    signers = tuple(range(1, threshold + 1))
    instance = os.urandom(32)
    begun = time.process_time()
    sessions = {
        party: SignSession(shares[party], signers, DIGEST, instance, os.urandom)
        for party in signers
    }
    delivered = carry(sessions)
    return time.process_time() - begun, delivered


def measure(threshold: int, count: int, keygen_runs: int, sign_runs: int) -> Measurement:
    """Measure one setting; the first signature warms caches and is not counted."""
    keygens = [generate(threshold, count) for _ in range(keygen_runs)]
    shares, _, keygen_bytes = keygens[-1]
    sign(shares, threshold)
    signs = [sign(shares, threshold) for _ in range(sign_runs)]
    sign_s = statistics.median(spent for spent, _ in signs)
    return Measurement(
        threshold=threshold,
        parties=count,
        keygen_s=round(statistics.median(spent for _, spent, _ in keygens), 4),
        refresh_s=round(statistics.median(refresh(shares) for _ in range(keygen_runs)), 4),
        reshare_s=round(
            statistics.median(reshare(shares, threshold) for _ in range(keygen_runs)), 4
        ),
        sign_ms=round(sign_s * 1e3, 2),
        sign_per_party_ms=round(sign_s * 1e3 / threshold, 2),
        keygen_pair_bytes=keygen_bytes // (count * (count - 1)),
        sign_pair_bytes=signs[-1][1] // (threshold * (threshold - 1)),
        keygen_runs=keygen_runs,
        sign_runs=sign_runs,
    )


def peer_module() -> Path | None:
    """Return where the peer is installed, after installing it; None, and why, if that fails."""
    home = ROOT / ".bench"
    module = home / "node_modules" / PEER
    if module.is_dir():
        return module
    if not (shutil.which("node") and shutil.which("npm")):
        print("bench: no Node.js here: the peer is not measured", file=sys.stderr)
        return None
    home.mkdir(exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    command += ["--prefix", str(home), f"{PEER}@{PEER_VERSION}"]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        print(f"bench: npm cannot install {PEER}: the peer is not measured", file=sys.stderr)
        return None
    return module


def with_peer(module: Path, ours: Measurement) -> Measurement:
    """Return a measurement completed by the peer's times for the same setting and runs."""
    script = ROOT / "tools" / "bench_tss_peer.js"
    numbers = (ours.threshold, ours.parties, ours.keygen_runs, ours.sign_runs)
    command = ["node", str(script), str(module), *map(str, numbers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    times = json.loads(done.stdout)
    return evolve(ours, peer_keygen_s=times["keygen_s"], peer_sign_ms=times["sign_ms"])


HEADINGS = (
    "setting",
    "keygen, all (s)",
    "ratio to peer",
    "refresh, all (s)",
    "reshare, all (s)",
    "sign, all (ms)",
    "ratio to peer",
    "sign, one (ms)",
    "keygen B/pair",
    "sign B/pair",
)


def ratio(ours: float, peer: float | None) -> str:
    """Return ours as a fraction of the peer's."""
    return "-" if peer is None else f"{ours / peer:.3f}"


def rows(measurements: list[Measurement]) -> list[tuple[str, ...]]:
    """Return the table's cells."""
    return [
        (
            f"{m.threshold} of {m.parties}",
            f"{m.keygen_s:.3f}",
            ratio(m.keygen_s, m.peer_keygen_s),
            f"{m.refresh_s:.3f}",
            f"{m.reshare_s:.3f}",
            f"{m.sign_ms:.1f}",
            ratio(m.sign_ms, m.peer_sign_ms),
            f"{m.sign_per_party_ms:.2f}",
            f"{m.keygen_pair_bytes}",
            f"{m.sign_pair_bytes}",
        )
        for m in measurements
    ]


def show(measurements: list[Measurement]) -> None:
    """Print the table, with rich when it is installed."""
    title = "Threshold ECDSA: median CPU time, bytes per ordered pair"
    cells = rows(measurements)
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title)
        for row in (HEADINGS, *cells):
            print("  ".join(cell.rjust(15) for cell in row))
        return
    table = Table(title=title)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in cells:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=130)  # nobody should find an ellipsis in a file
    console.print(table)


def run(
    json_path: str | None,
    settings: tuple[tuple[int, int], ...] = DEFAULT_SETTINGS,
    quick: bool = False,
    peer: bool = False,
) -> list[Measurement]:
    """Measure, print the table and, when given a path, write the numbers as JSON."""
    runs = (1, 3) if quick else (5, 15)
    module = peer_module() if peer else None
    measurements = []
    for threshold, count in settings:
        ours = measure(threshold, count, *runs)
        measurements.append(with_peer(module, ours) if module else ours)
    show(measurements)
    # It takes from this script, hence not at the top.
    from tools.bench_tss_batch import measure_batch, show_batch

    batch = measure_batch(1 if quick else 3)
    show_batch(batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory of all parties in one process: {peak} MiB")
    if json_path is not None:
        report = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "peer": f"{PEER} {PEER_VERSION}" if module else None,
            "peak_memory_mib": peak,
            "batch": asdict(batch),
            "measurements": [asdict(measurement) for measurement in measurements],
        }
        Path(json_path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return measurements


def setting(text: str) -> tuple[tuple[int, int], ...]:
    """Parse "2-3,3-4" into pairs of threshold and parties."""
    pairs = []
    for item in text.split(","):
        threshold, _, count = item.partition("-")
        if not (threshold.isdecimal() and count.isdecimal() and 2 <= int(threshold) <= int(count)):
            raise argparse.ArgumentTypeError(f"{item!r} is not THRESHOLD-PARTIES, such as 3-4")
        pairs.append((int(threshold), int(count)))
    return tuple(pairs)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to FILE")
    parser.add_argument(
        "--setting", type=setting, default=DEFAULT_SETTINGS, help="such as 2-3,3-4"
    )
    parser.add_argument("--quick", action="store_true", help="fewer runs, rougher medians")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--large", action="store_true", help="one party of 32 of 60 instead")
    arguments = parser.parse_args()
    if arguments.large:
        # It takes from this script, hence not at the top.
        from tools.bench_tss_large import run_large

        run_large(arguments.json)
        return
    run(arguments.json, arguments.setting, arguments.quick, not arguments.no_peer)


if __name__ == "__main__":
    main()
