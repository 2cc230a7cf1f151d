"""A peer that repeats itself, or misbehaves without end, costs a bounded amount."""

from __future__ import annotations

from metanode.protocol.peers.conduct import (
    FAULTS_TOLD,
    FRAMES_KEPT,
    PEERS_KEPT,
    REPEATS_OF_A_REPLAY,
    WINDOW_S,
    Conduct,
)
from tests.support import node


def test_a_replay_is_noticed_and_what_is_said_a_few_times_is_none() -> None:
    """Catches a peer that sends one frame for ever, and one that is scored for saying it twice."""
    conduct = Conduct()
    counts = [conduct.repeats(node(1), b"ping", 0.0) for _ in range(REPEATS_OF_A_REPLAY + 3)]
    assert counts == [0] * REPEATS_OF_A_REPLAY + [1, 2, 3]
    assert conduct.repeats(node(1), b"another", 1.0) == 0
    assert conduct.repeats(node(2), b"ping", 1.0) == 0
    assert conduct.repeats(node(1), b"ping", WINDOW_S) == 0


def test_a_clock_that_is_set_back_makes_no_replay() -> None:
    """Catches a minute that never ends."""
    conduct = Conduct()
    for second in range(100):
        assert conduct.repeats(node(1), b"offer", -60.0 * second) == 0


def test_frames_in_between_do_not_hide_a_replay_and_memory_is_bounded() -> None:
    """Catches a peer that hides a replay among as many other frames, or fills the memory."""
    conduct = Conduct()
    last = 0
    for number in range(REPEATS_OF_A_REPLAY + 2):
        last = conduct.repeats(node(1), b"again", 0.0)
        for other in range(FRAMES_KEPT // 8):
            conduct.repeats(node(1), b"%d %d" % (number, other), 0.0)
    assert last > 1
    for number in range(PEERS_KEPT + 100):
        conduct.repeats(node(number), b"x", 0.0)
    assert len(conduct._minutes) == PEERS_KEPT


def test_the_faults_of_one_peer_are_told_a_few_times_a_minute() -> None:
    """Catches a log that a liar fills, and one that says nothing of the next minute."""
    conduct = Conduct()
    assert sum(conduct.is_told(node(1), 0.0) for _ in range(1000)) == FAULTS_TOLD
    assert conduct.is_told(node(2), 0.0)
    assert conduct.is_told(node(1), WINDOW_S)
