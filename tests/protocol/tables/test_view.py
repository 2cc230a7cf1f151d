"""What one node knows: cells, individuals, facts, and what is forgotten."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.protocol.tables.view import NodeView, Quorum
from spec.protocol import PROTOCOL
from spec.trace_format import reference, show

P, Q = b"\x02" * 33, b"\x03" * 33
E, D = b"e" * 32, b"d" * 32
QUORUM = Quorum((P, Q), 2, 0)


@pytest.fixture
def view() -> NodeView:
    """The view of a node that knows nothing yet."""
    return NodeView(PROTOCOL, QUORUM)


def test_untouched_cells_hold_their_first_value(view: NodeView) -> None:
    """Catches a first value that is read as its name."""
    assert view.get("phase", P) == "Idle"
    assert view.get("lock", P, E) is None
    assert view.read("vote", (P, E, 1, D)) is False
    assert list(view.entries("vote")) == []


def test_a_given_cell_is_asked_of_its_provider_once_in_a_firing(view: NodeView) -> None:
    """Catches a decision on a fact that nobody looked up, or on an answer of the event before."""
    with pytest.raises(LocalFault, match="reads event_over, and nothing here provides it"):
        view.read("event_over", (E,))
    answers = [True, False]
    view.providers["event_over"] = lambda e: answers.pop() if e == E else False
    view.begin_reading()
    assert (view.read("event_over", (E,)), view.read("event_over", (E,))) == (False, False)
    assert view.read("event_over", (D,)) is False
    view.begin_reading()
    assert view.read("event_over", (E,)) is True


def test_reads_are_noted_for_the_trace(view: NodeView) -> None:
    """Catches a trace without the facts that a guard read."""
    view.providers["event_over"] = lambda _e: False
    view.begin_reading()
    view.read("event_over", (E,))
    view.read("lock", (P, E))
    assert view.reads == {
        f"event_over[{E[:8].hex()}]": False,
        f"lock[{P[:8].hex()}, {E[:8].hex()}]": None,
    }
    view.begin_reading()
    assert view.reads == {}


def test_individuals_are_holders_and_what_cells_mention(view: NodeView) -> None:
    """Catches a quantifier that misses an attempt, or counts a stranger among the peers."""
    assert tuple(view.individuals("Peer")) == (P, Q)
    assert tuple(view.individuals("Attempt")) == ()
    view.deliver("vote", b"\x09" * 33, E, 3, D)
    assert tuple(view.individuals("Attempt")) == (3,)
    assert tuple(view.individuals("Digest")) == (D,)
    assert tuple(view.individuals("Peer")) == (P, Q)


def test_constants_are_those_of_the_quorum(view: NodeView) -> None:
    """Catches a threshold of another key epoch (F-19), in a guard or in the trace."""
    assert [view.constant(name) for name in ("N", "T", "F", "R")] == [2, 2, 0, 1]
    named = {(E, 1): Quorum((P,), 1, 0)}
    view.scopes = lambda sorts, index: named.get(index) if sorts == ("Event", "Attempt") else None
    scoped = view.among(("Event", "Attempt"), (E, 1))
    assert scoped is not None
    view.begin_reading()
    assert [scoped.constant(name) for name in ("N", "T", "F", "R")] == [1, 1, 0, 1]
    assert tuple(scoped.individuals("Peer")) == (P,)
    assert view.reads[f"T[{E[:8].hex()}, 1]"] == 1
    assert view.among(("Event", "Attempt"), (E, 2)) is None


def test_what_a_count_is_held_against_is_a_read(view: NodeView) -> None:
    """Catches a trace from which nobody can tell the threshold, or how many were asked."""
    view.begin_reading()
    assert len(tuple(view.individuals("Peer"))) == view.reads["N"] == 2
    view.constant("T")
    assert view.reads == {"N": 2, "T": 2}


def test_only_network_cells_are_delivered(view: NodeView) -> None:
    """Catches a message that could set what only this node's own rows may set."""
    view.deliver("vote", Q, E, 1, D)
    assert view.get("vote", Q, E, 1, D) is True
    for cell, index in (("lock", (P, E)), ("phase", (P,)), ("event_over", (E,))):
        with pytest.raises(LocalFault, match=f"{cell} is not a network cell"):
            view.deliver(cell, *index)


def test_old_rounds_are_forgotten_but_the_disk_is_not(view: NodeView) -> None:
    """Catches memory that grows with every round, and a vote that is swept (SAFE-SIGN 2)."""
    for attempt in range(6):
        view.deliver("vote", Q, E, attempt, D)
        view.put("heard", (P, Q, attempt), "accepted")
    view.put("voted", (P, E, 1), D)
    view.forget("Attempt", range(4, 6))
    assert {index[2] for index, _ in view.entries("vote")} == {4, 5}
    assert {index[2] for index, _ in view.entries("heard")} == {4, 5}
    assert view.get("voted", P, E, 1) == D
    assert set(view.individuals("Attempt")) == {1, 4, 5}
    view.put("phase", (P,), "Signing")
    view.forget("Attempt", ())
    assert view.get("phase", P) == "Signing"
    assert set(view.individuals("Attempt")) == {1}


def test_values_are_shown_in_short() -> None:
    """Catches a trace line with whole ids, or without the number of a round."""
    assert show(bytes(32)) == "00" * 8
    assert show(7) == "7"
    assert show(None) == "None"
    assert reference("vote", (P, 3)) == f"vote[{P[:8].hex()}, 3]"
