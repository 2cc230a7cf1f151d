"""Which network is explored at which size, and what must come of it.

``refuted`` names what must fail; where ``whole`` is false the search ends there, and what else it
finds on the way is recorded only. ``unreached`` names the witnesses that must stay unreached: the
adversary's power where there are no liars. Everything else must hold, and every witness be reached.

The numbers are in ``manifest.toml``: states (orbits under ``symmetry``), steps, depth, lengths of
traces. Any change of a row shows in them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from model_checks.engines.check import check
from model_checks.engines.oracle import Instance, Result
from model_checks.networks import (
    block_list,
    cooldown,
    coordinator_rotation,
    event_status,
    handshake_relay,
    keygen_lock_in,
    link_duplicates,
    refund_against_payout,
    regroup_handover,
    regroup_phase,
    regroup_retry,
    session_end,
    signing,
    swap_settlement,
    two_phase_commit,
)
from model_checks.system import Network, close

MANIFEST = Path(__file__).resolve().parent.parent / "manifest.toml"
EACH_PEER = ("Peer",)
PEERS_AND_DIGESTS = ("Peer", "Digest")


@frozen
class Case:
    """One network at one size."""

    network: Network
    sizes: Mapping[str, int]
    constants: Mapping[str, int]
    symmetry: tuple[str, ...] = ()
    refuted: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    whole: bool = True
    """Whether the search goes on after the counterexamples."""
    deep: bool = False
    """Whether it takes longer than a few seconds."""
    records: str = "Peer"

    @property
    def name(self) -> str:
        """The network's name, its sizes and its constants."""
        numbers = {**self.sizes, **self.constants}
        return " ".join((self.network.name, *(f"{key}={value}" for key, value in numbers.items())))

    @property
    def instance(self) -> Instance:
        """The network at this size."""
        return Instance(close(self.network), self.sizes, self.constants)

    def run(self, max_states: int = 20_000_000) -> Result:
        """Explore it."""
        until = () if self.whole else self.refuted
        return check(self.instance, self.symmetry, self.records, max_states, until=until)


def record(case: Case, result: Result) -> dict[str, Any]:
    """Return what the manifest keeps of a result."""
    traces = {name: len(steps) for name, steps in sorted(result.violated.items())}
    witnesses = {name: len(steps) for name, steps in sorted(result.reached.items())}
    return {
        "tier": "deep" if case.deep else "fast",
        "distinct": result.distinct,
        "generated": result.generated,
        "depth": result.depth,
        "violated": traces,
        "stuck": {name: count for name, count in sorted(result.stuck.items()) if count},
        "reached": witnesses,
    }


def manifest() -> dict[str, dict[str, Any]]:
    """Return the recorded numbers by case."""
    return tomllib.loads(MANIFEST.read_text(encoding="utf-8"))


def manifest_text(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of a manifest."""
    lines = ["# Written by the model checks: states, steps, depth, lengths of shortest traces."]
    for name, values in records.items():
        lines += ["", f'["{name}"]']
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                lines += [f"{key}.{inner} = {number}" for inner, number in value.items()]
            elif isinstance(value, Mapping):
                lines.append(f"{key} = {{}}")
            else:
                lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
    return "\n".join(lines) + "\n"


def faults(case: Case, result: Result, recorded: Mapping[str, Any] | None) -> list[str]:
    """Return what differs from the expectation and from the manifest, one line each."""
    missing = [name for name in case.refuted if name not in result.violated]
    found = [f"{name} is not refuted any more" for name in missing]
    if case.whole:
        wrong = sorted(result.violated.keys() - set(case.refuted))
        found += [f"{name} is violated: {len(result.violated[name])} steps" for name in wrong]
        witnesses = {p.name for p in case.network.properties if p.kind == "reachable"}
        unreached = witnesses - result.reached.keys()
        found += [f"witness {name} is not reached" for name in unreached - set(case.unreached)]
        found += [f"witness {name} is reached" for name in set(case.unreached) - unreached]
    now = record(case, result)
    if recorded is None:
        found.append("the manifest does not know this case")
    elif now != recorded:
        keys = [key for key in now if now[key] != recorded.get(key)]
        found += [f"{key} is {now[key]}, recorded is {recorded.get(key)}" for key in keys]
    return found


def _signing(peers: int, attempts: int) -> dict[str, int]:
    return {"Peer": peers, "Event": 1, "Attempt": attempts, "Digest": 2, "Instance": 1}


def _one_event(peers: int, attempts: int = 1) -> dict[str, int]:
    return {"Peer": peers, "Event": 1, "Attempt": attempts, "Digest": 1, "Instance": 1}


def _quorum(n: int, f: int, t: int) -> dict[str, int]:
    return {"N": n, "F": f, "T": t}


def _refund(n: int, f: int, t: int, fewer: int = 0) -> dict[str, int]:
    return {**_quorum(n, f, t), "R": n - t + 1 + f - fewer}


def _links(peers: int, links: int) -> dict[str, int]:
    return {"Peer": peers, "Link": links}


def _handover(peers: int, attempts: int = 2) -> dict[str, int]:
    return {**_signing(peers, attempts), "Epoch": 2}


def _until(
    network: Network,
    sizes: Mapping[str, int],
    constants: Mapping[str, int],
    symmetry: tuple[str, ...],
    *refuted: str,
) -> Case:
    """A search that ends with its counterexamples."""
    return Case(network, sizes, constants, symmetry, refuted, whole=False)


_TWO_EPOCHS = ((_handover(4), _quorum(3, 1, 3)), (_handover(3, 3), _quorum(2, 0, 2)))
_TWO_ATTEMPTS = {"Peer": 3, "Event": 1, "Attempt": 1, "Digest": 1, "Epoch": 3}
NO_LIARS = ("LiarsDecide", "LiarsVoteTwice")

CASES = (
    Case(two_phase_commit.NETWORK, {"Manager": 3}, {}, records="Manager"),
    Case(two_phase_commit.NETWORK, {"Manager": 6}, {}, records="Manager"),
    Case(two_phase_commit.NETWORK, {"Manager": 7}, {}, ("Manager",), records="Manager"),
    Case(two_phase_commit.NETWORK, {"Manager": 8}, {}, records="Manager"),
    # signing: safe and alive, for liars that speak when they like
    Case(signing.NETWORK, _signing(4, 2), _quorum(4, 1, 3), PEERS_AND_DIGESTS),
    Case(
        signing.EAGER_LIARS,
        _signing(4, 2),
        _quorum(4, 1, 3),
        PEERS_AND_DIGESTS,
        unreached=("LockMoves",),
    ),
    Case(signing.EAGER_LIARS, _signing(4, 3), _quorum(4, 1, 3), PEERS_AND_DIGESTS),
    Case(
        signing.EAGER_LIARS, _signing(3, 3), _quorum(3, 0, 2), PEERS_AND_DIGESTS, unreached=NO_LIARS
    ),
    Case(signing.EAGER_LIARS, _signing(5, 3), _quorum(5, 1, 4), PEERS_AND_DIGESTS, deep=True),
    # signing: the rules that fail
    *(
        Case(
            network,
            _signing(4, 2),
            _quorum(4, 1, 3),
            PEERS_AND_DIGESTS,
            ("NoDoubleSign",),
            whole=False,
        )
        for network in (
            signing.NAIVE_RETRY,
            signing.NO_LOCK,
            signing.LATER_VOTE_FORGOTTEN,
            signing.LOCK_IN_MEMORY,
        )
    ),
    *(
        Case(
            signing.NETWORK,
            _signing(n, 2),
            _quorum(n, f, t),
            PEERS_AND_DIGESTS,
            ("NoDoubleSign",),
            whole=False,
        )
        for n, f, t in ((5, 1, 3), (4, 0, 2))
    ),
    # signing: the rules that are safe, and come to a stop
    Case(
        signing.LOCK_NEVER_MOVES,
        _signing(4, 3),
        _quorum(4, 1, 3),
        PEERS_AND_DIGESTS,
        ("NextAttemptOpen", "Progress"),
    ),
    Case(
        signing.FIRST_VOTE_FINAL,
        _signing(4, 2),
        _quorum(4, 1, 3),
        PEERS_AND_DIGESTS,
        ("NextAttemptOpen", "Progress"),
    ),
    # an event from PENDING to its end
    Case(event_status.NETWORK, _one_event(3, 2), _refund(3, 0, 2), EACH_PEER),
    Case(
        event_status.FAILED_IS_FINAL,
        _one_event(3, 2),
        _refund(3, 0, 2),
        EACH_PEER,
        ("EventDecides",),
    ),
    Case(refund_against_payout.NETWORK, _one_event(4), _refund(4, 1, 3), EACH_PEER),
    Case(refund_against_payout.NETWORK, _one_event(5), _refund(5, 1, 4), EACH_PEER, deep=True),
    _until(
        refund_against_payout.NETWORK,
        _one_event(4),
        _refund(4, 1, 3, fewer=1),
        EACH_PEER,
        "NoPayAndRefund",
    ),
    _until(
        refund_against_payout.NETWORK,
        _one_event(5),
        _refund(5, 1, 4, fewer=1),
        EACH_PEER,
        "NoPayAndRefund",
    ),
    _until(
        refund_against_payout.OWN_WORD, _one_event(4), _refund(4, 1, 3), EACH_PEER, "NoPayAndRefund"
    ),
    # one key
    Case(keygen_lock_in.ROSTERS, {"Peer": 5, "Key": 2}, _quorum(4, 1, 3), EACH_PEER),
    *(
        _until(network, {"Peer": 5, "Key": 2}, _quorum(4, 1, 3), EACH_PEER, "LockInAgreement")
        for network in (keygen_lock_in.ANY_MEMBERS, keygen_lock_in.COUNTED_ROSTERS)
    ),
    Case(
        keygen_lock_in.NETWORK,
        {"Peer": 3, "Key": 3},
        _quorum(3, 0, 3),
        EACH_PEER,
        unreached=("LiarHasNoShare",),
    ),
    Case(keygen_lock_in.NETWORK, {"Peer": 4, "Key": 2}, _quorum(4, 1, 3), EACH_PEER),
    _until(
        keygen_lock_in.ENDS_LOCALLY,
        {"Peer": 4, "Key": 2},
        _quorum(4, 1, 3),
        EACH_PEER,
        "LockInAgreement",
        "KeyAvailable",
    ),
    _until(
        keygen_lock_in.LOCK_IN_UNSIGNED,
        {"Peer": 4, "Key": 2},
        _quorum(4, 1, 3),
        EACH_PEER,
        "LockInAgreement",
    ),
    # the same key, other holders
    *(
        Case(network, sizes, constants, PEERS_AND_DIGESTS)
        for network in regroup_handover.OURS
        for sizes, constants in _TWO_EPOCHS
    ),
    Case(regroup_handover.NETWORK, _handover(4), _quorum(3, 0, 2), PEERS_AND_DIGESTS, deep=True),
    Case(regroup_handover.NETWORK, _handover(4, 3), _quorum(3, 1, 3), PEERS_AND_DIGESTS, deep=True),
    *(
        _until(network, sizes, _quorum(2, 0, 2), PEERS_AND_DIGESTS, "NoDoubleSignAcrossEpochs")
        for network, sizes in (
            (regroup_handover.LOCKS_FORGOTTEN, _handover(4)),
            (regroup_handover.NO_FENCE, _handover(4)),
            (regroup_handover.ALL_VOTE, _handover(4)),
            (regroup_handover.TAKEN_EARLY, _handover(3, 3)),
        )
    ),
    Case(regroup_retry.NETWORK, _TWO_ATTEMPTS, _quorum(3, 1, 2)),
    Case(regroup_retry.NIGHT_SKIPPED, _TWO_ATTEMPTS, _quorum(3, 1, 2), (), ("RegroupEnds",)),
    *(
        Case(network, _TWO_ATTEMPTS, _quorum(3, 1, 2), (), refuted, whole=False)
        for network, refuted in (
            (regroup_retry.BLOCKS_DECIDE, ("RegroupIgnoresBlocks", "KeyAvailable")),
            (regroup_retry.ERASED_AT_ONCE, ("KeyAvailable",)),
            (regroup_retry.NOT_ALL_READY, ("KeyAvailable",)),
            (regroup_retry.CORRECT_LEFT_OUT, ("KeyAvailable",)),
            (regroup_retry.TWO_SUCCESSORS, ("OneFollows", "KeyAvailable")),
        )
    ),
    Case(regroup_phase.NETWORK, {"Peer": 3, "Attempt": 1, "Digest": 1, "Epoch": 2}, {"T": 2}),
    # links, blocks, swaps, rounds, coordinators
    Case(link_duplicates.NETWORK, {"Peer": 2, "Link": 2}, {}),
    Case(
        link_duplicates.WHOEVER_NOTICES,
        {"Peer": 2, "Link": 2},
        {},
        (),
        ("LinkForms", "WinnerStays"),
    ),
    Case(handshake_relay.NETWORK, _links(3, 2), {"F": 1}),
    Case(handshake_relay.CERTIFICATES, _links(3, 2), {"F": 1}, deep=True),
    Case(handshake_relay.NETWORK, _links(4, 2), {"F": 2}, deep=True),
    Case(handshake_relay.REFLECTED, _links(3, 1), {"F": 1}),
    *(
        Case(network, _links(3, links), {"F": 1}, (), refuted, whole=False)
        for network, links, refuted in (
            (handshake_relay.COOKIE_ONLY, 2, ("PeerBound", "PeerMeant")),
            (handshake_relay.WITHOUT_IDS, 2, ("PeerBound", "PeerMeant")),
            (handshake_relay.WITHOUT_KEYS, 2, ("PeerBound",)),
            (handshake_relay.WITHOUT_ROLE, 1, ("PeerBound",)),
            (handshake_relay.COOKIE_TWICE, 2, ("CookieOnce",)),
        )
    ),
    Case(block_list.NETWORK, {"Peer": 3}, _quorum(3, 1, 2)),
    Case(block_list.SETS, {"Peer": 4}, _quorum(4, 1, 3)),
    _until(block_list.BLOCKS_SHAPE_SETS, {"Peer": 4}, _quorum(4, 1, 3), (), "SetPossible"),
    _until(block_list.SILENCE_IS_GUILT, {"Peer": 3}, _quorum(3, 1, 2), (), "HonestTogether"),
    _until(block_list.WORD_IS_ENOUGH, {"Peer": 3}, _quorum(3, 1, 2), (), "HonestTogether"),
    Case(swap_settlement.NETWORK, {"Peer": 4, "Swap": 1}, _quorum(4, 1, 3), EACH_PEER),
    Case(swap_settlement.NETWORK, {"Peer": 4, "Swap": 2}, _quorum(4, 1, 3), EACH_PEER),
    _until(
        swap_settlement.OTHER_COINS,
        {"Peer": 4, "Swap": 1},
        _quorum(4, 1, 3),
        EACH_PEER,
        "SwapExclusive",
    ),
    Case(
        swap_settlement.LATE_IS_REFUNDED,
        {"Peer": 4, "Swap": 1},
        _quorum(4, 1, 3),
        EACH_PEER,
        ("BookIsTrue", "SwapSettles"),
    ),
    Case(cooldown.NETWORK, _one_event(4), _quorum(4, 1, 3), EACH_PEER),
    Case(
        cooldown.ADVERTISED,
        _one_event(4),
        _quorum(4, 1, 3),
        EACH_PEER,
        ("RestAfterSigning", "RoundProgress"),
    ),
    Case(cooldown.ENDS, _one_event(2, 2), _quorum(2, 0, 1)),
    Case(session_end.NETWORK, {**_one_event(2, 2), "Instance": 2}, _quorum(2, 0, 2)),
    Case(
        coordinator_rotation.OWN_HEIGHT,
        _one_event(3),
        _quorum(3, 1, 2),
        EACH_PEER,
        ("CoordinatorRotates",),
    ),
    Case(coordinator_rotation.NETWORK, _one_event(3, 2), _quorum(3, 1, 2), EACH_PEER),
    Case(
        coordinator_rotation.ALL_MUST_ANSWER,
        _one_event(3, 2),
        _quorum(3, 1, 2),
        EACH_PEER,
        ("CoordinatorRotates",),
        unreached=("SilentFirst",),
    ),
    Case(
        coordinator_rotation.SAME_COORDINATOR,
        _one_event(3, 2),
        _quorum(3, 1, 2),
        EACH_PEER,
        ("CoordinatorRotates",),
    ),
)
"""What is explored, with its expected outcome."""
