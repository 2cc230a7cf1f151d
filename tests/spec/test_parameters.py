"""The constants: units, sources, presets and the arithmetic of quorums."""

from __future__ import annotations

from itertools import combinations

import pytest
from attrs import asdict

from spec.parameters import (
    DEVNET,
    LARGEST_ROSTER,
    MAINNET,
    PRESETS,
    TOY,
    constants,
    faults_tolerated,
    quorum_fault,
    refund_quorum,
    sized,
    threshold,
)

SOURCES = ("M: ", "N: ", "T: ", "D: ", "rule: ")


@pytest.mark.parametrize("constant", constants(), ids=lambda each: each.name)
def test_every_constant_has_a_unit_and_a_source(constant: object) -> None:
    """Catches a number that nobody can trace."""
    metadata = constant.metadata  # type: ignore[attr-defined]  # an attrs attribute
    assert metadata["unit"]
    assert metadata["source"].startswith(SOURCES)
    assert len(metadata["source"]) > len("rule: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ping_period_s", 3),
        ("round_period_s", 60),
        ("keygen_period_s", 300),
        ("regroup_period_s", 24 * 3600),
        ("stake_age_s", 72 * 3600),
        ("block_duration_s", 72 * 3600),
        ("session_idle_s", 180),
        ("keepalive_period_s", 15),
        ("keepalive_endpoints", 8),
        ("fanout_random", 0.75),
        ("fanout_self", 0.25),
        ("cookie_lifetime_s", 5),
        ("links_per_address", 4),
        ("links_per_network", 16),
        ("links_inbound", 2048),
        ("links_outbound", 2048),
        ("attempts_at_once", 60),
        ("attempts_per_address", 1),
        ("connect_timeout_s", 60),
        ("idle_timeout_s", 120),
        ("peer_store_period_s", 15),
        ("peer_forget_s", 3600),
        ("crawl_fast_s", 3),
        ("crawl_slow_s", 7),
        ("weight_known_share", 0.67),
        ("write_queue_messages", 128),
        ("exclusion_score", 2),
        ("exclusion_first_s", 3600),
        ("exclusion_entries", 5000),
        ("frame_octets", 1048576),
    ],
)
def test_mainnet_has_the_numbers_of_its_sources(name: str, value: float) -> None:
    """Catches a number of a source that was changed in passing."""
    assert getattr(MAINNET, name) == value


def test_devnet_differs_in_periods_and_machines_only() -> None:
    """Catches a rule that is relaxed on the development network, and so never tried."""
    main, dev = asdict(MAINNET), asdict(DEVNET)
    different = {name for name in main if main[name] != dev[name]}
    periods = {"ping_period_s", "round_period_s", "keygen_period_s"}
    assert different == {"name", "members_a_machine", *periods}


def test_periods_grow_with_the_members_of_a_machine() -> None:
    """Catches sixteen nodes that begin a key again and again, in slots too short for it."""
    assert sized(DEVNET, 4) == DEVNET
    assert sized(MAINNET, LARGEST_ROSTER) == MAINNET
    before = DEVNET
    for members in (16, 60, LARGEST_ROSTER):
        found = sized(DEVNET, members)
        dealing_s = DEVNET.dealing_pair_s * members**2
        time_left = found.keygen_period_s * (found.slot_share - found.setup_share)
        assert time_left >= dealing_s
        time_to_sign = found.round_period_s * (found.signing_share - found.vote_share)
        inputs = found.transfers_per_payout + found.change_inputs
        assert found.transfers_per_payout >= 1
        assert found.change_inputs >= 1
        signers = threshold(members)
        signature_s = DEVNET.signature_work_s * signers**2 * members
        assert time_to_sign >= inputs * found.fee_versions * signature_s
        assert found.attempt_rounds * found.round_period_s >= dealing_s
        assert found.ping_period_s < found.round_period_s
        assert sized(found, members) == found
        for name in (
            "round_period_s", "keygen_period_s", "ping_period_s", "chain_poll_s", "crawl_fast_s",
            "crawl_slow_s", "crawl_patience_s", "news_delay_s", "tick_s",
        ):
            assert getattr(found, name) >= getattr(before, name)
        before = found


def test_presets_are_found_by_their_own_name() -> None:
    """Catches a preset filed under another name."""
    assert PRESETS == {"mainnet": MAINNET, "devnet": DEVNET, "toy": TOY}


def test_the_phases_of_a_round_follow_each_other() -> None:
    """Catches deadlines out of order, in any preset."""
    for preset in PRESETS.values():
        shares = (
            preset.offer_share,
            preset.propose_share,
            preset.set_share,
            preset.vote_share,
            preset.signing_share,
        )
        assert list(shares) == sorted(set(shares))
        assert shares[0] > 0
        assert shares[-1] < 1


@pytest.mark.parametrize(
    ("holders", "shares"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6), (9, 7)]
)
def test_threshold(holders: int, shares: int) -> None:
    """Catches a rounding other than that of the source's own examples."""
    assert threshold(holders) == shares


def test_thresholds_overlap_in_an_honest_member() -> None:
    """Catches a threshold at which two sets may share liars only, by trying all sets."""
    for holders in range(1, 9):
        shares, faulty = threshold(holders), faults_tolerated(holders)
        assert quorum_fault(holders, shares, faulty) is None
        assert quorum_fault(holders, shares, faulty + 1) is not None
        sets = [set(each) for each in combinations(range(holders), shares)]
        assert min(len(one & other) for one in sets for other in sets) > faulty
        assert holders - faulty >= shares


def test_quorum_fault_names_the_numbers() -> None:
    """Catches an unsafe configuration that is accepted, or refused without saying why."""
    assert quorum_fault(60, 32, 3) is None
    assert quorum_fault(60, 32, 4) == (
        "2t-n > f must hold, but 2*32-60 = 4 <= 4: two sets could sign twice"
    )
    assert quorum_fault(4, 2, 0) == (
        "2t-n > f must hold, but 2*2-4 = 0 <= 0: two sets could sign twice"
    )
    assert quorum_fault(4, 4, 1) == (
        "n-f >= t must hold, but 4-1 = 3 < 4: 1 silent members stop every payout"
    )
    assert quorum_fault(4, 3, 1) is None
    for numbers in ((0, 1, 0), (4, 0, 0), (4, 5, 0), (4, 3, -1)):
        fault = quorum_fault(*numbers)
        assert fault is not None
        assert "1 <= t <= n and f >= 0 must hold" in fault
        assert all(str(number) in fault for number in numbers)


@pytest.mark.parametrize(
    ("holders", "faulty", "shares", "needed"),
    [(4, 1, 3, 3), (5, 1, 4, 3), (7, 2, 5, 5), (9, 2, 7, 5)],
)
def test_refund_quorum(holders: int, faulty: int, shares: int, needed: int) -> None:
    """Catches a refund that is possible while a payout is: one statement fewer would be too few.

    ``needed`` statements, of which ``faulty`` are lies, leave fewer than t who may have released.
    """
    assert refund_quorum(holders, shares, faulty) == needed
    may_release = holders - (needed - faulty)
    assert may_release < shares
    assert may_release + 1 >= shares


def test_payloads_fit_into_frames() -> None:
    """Catches a payload bound that leaves no room for the envelope."""
    from spec.messages import PAYLOAD_OCTETS

    assert MAINNET.frame_octets >= PAYLOAD_OCTETS + 1024
    assert MAINNET.frame_octets_unauthenticated <= MAINNET.frame_octets
