"""The check that a node's view is enough sees each way in which it is not."""

from __future__ import annotations

import pytest
from attrs import evolve

from model_checks.local_views import JUSTIFIED, breaches, faults, lines, message_faults
from spec.language.declarations import Row
from spec.protocol import PROTOCOL
from tests.spec.support import CELLS, build


def row(*only_if: str, **effects: str) -> Row:
    """Return a row with a reason."""
    then = {key.replace("_of_q", "[q]").replace("_of_p", "[p]"): v for key, v in effects.items()}
    event = "Go(p: Peer, q: Peer, d: Digest)"
    return Row("red", event, "green", only_if, then, why="to test")


def test_the_protocol_is_sound() -> None:
    """Catches a row of the protocol that a node cannot judge from what it knows."""
    assert faults(PROTOCOL, JUSTIFIED) == []
    assert lines(PROTOCOL)[0].startswith("local views: ")


@pytest.mark.parametrize(
    "guard",
    ["vote[q, d]", "count(x for x in Peer if vote[x, d]) >= T", "all(vote[x, d] for x in Peer)",
     "not vote[p, d]", "rain", "lock[p] == none"],
)
def test_sound_guards(guard: str) -> None:
    """Catches a check that lists what a node does know."""
    assert faults(build(row(guard)), {}) == []


@pytest.mark.parametrize(
    ("guard", "reason"),
    [
        ("not vote[q, d]", "needs others not to have sent vote"),
        ("count(x for x in Peer if vote[x, d]) < T", "needs others not to have sent vote"),
        ("all(implies(vote[x, d], x == p) for x in Peer)", "needs others not to have sent vote"),
        ("lock[q] == none", "reads lock of another peer"),
        ("any(lock[x] == d for x in Peer)", "reads lock of another peer"),
    ],
)
def test_unsound_guards(guard: str, reason: str) -> None:
    """Catches a guard that asks for silence, or looks into another node, and passes."""
    protocol = build(row(guard))
    (found,) = breaches(protocol, {})
    assert (found.text, found.reason) == (guard, reason)
    assert faults(protocol, {}) == [f"lamp: red -Go-> green: {guard!r} {reason}"]


def test_a_write_to_another_peer_is_unsound() -> None:
    """Catches an effect that a node cannot have."""
    protocol = build(row(lock_of_q="d"))
    assert faults(protocol, {}) == ["lamp: red -Go-> green: 'lock' writes a cell of another peer"]


def test_a_justification_is_needed_and_must_be_needed() -> None:
    """Catches a reason that is ignored, and one that outlives its row."""
    guard, name = "not vote[q, d]", "lamp: red -Go-> green"
    reasons = {(name, guard): "a certificate says so"}
    assert faults(build(row(guard)), reasons) == []
    assert breaches(build(row(guard)), reasons)[0].justified == "a certificate says so"
    assert faults(build(row("vote[q, d]")), reasons) == [
        f"{name}: {guard!r} is justified, but sound"
    ]


def test_network_cells_and_messages_belong_together() -> None:
    """Catches a cell that no message carries, and one that others hear of before it is sent."""
    assert message_faults(PROTOCOL) == []
    found = message_faults(build())
    assert "cell vote: no message says it" not in found
    assert "cell pinged: a message says it, but it is not kept in the network" in found
    cells = [evolve(cell, first="True") if cell.name == "vote" else cell for cell in CELLS]
    assert "cell vote: sent before anything is" in message_faults(build(cells=cells))
