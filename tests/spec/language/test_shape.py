"""The shape of a table: what its pictures are made of."""

from __future__ import annotations

import pytest

from spec.language.shape import arrows, everywhere
from spec.protocol import PROTOCOL


@pytest.mark.parametrize("name", PROTOCOL.machines)
def test_every_rule_is_an_arrow_or_is_everywhere(name: str) -> None:
    """Catches a picture that leaves a rule out, tells one twice, or makes one up."""
    machine = PROTOCOL.machines[name]
    common, drawn = set(everywhere(machine)), arrows(machine)
    told = {(*ends, event) for ends, events in drawn.items() for event in events}
    assert told == {(r.source, r.target, r.event) for r in machine.rules if r.event not in common}
    assert sum(map(len, drawn.values())) == len(told)
    for event in common:
        at = [(r.source, r.target) for r in machine.rules if r.event == event]
        assert {source for source, _ in at} == set(machine.states)
        assert all(source == target for source, target in at)


def test_the_lifecycle_says_its_common_events_once() -> None:
    """Catches a picture in which pings hide what matters."""
    machine = PROTOCOL.machines["peer"]
    assert everywhere(machine) == ["Ping", "Keepalive", "Publish", "ConfirmReq", "ConfirmAck"]
    assert arrows(machine)["Proposing", "SetBuilding"] == ["Matched"]
    assert arrows(machine)["Signing", "Cooldown"] == ["Signed", "Deadline"]
