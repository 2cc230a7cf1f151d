"""The runner executes the tables exactly as the interpreter means them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from metanode.errors import LocalFault
from metanode.protocol.tables.runner import (
    Effects,
    Refused,
    Send,
    TableRunner,
    Tables,
    TransitionError,
    Undefined,
    Write,
    _condition,
)
from metanode.protocol.tables.view import NodeView, Quorum
from spec.language.assembly import Protocol, Rule
from spec.language.declarations import Row
from spec.language.interpreter import Value
from spec.messages import Step, Vote
from spec.protocol import PROTOCOL
from tests.protocol.tables.support import HOLDERS, QUORUM, Facts, disagreements
from tests.spec.support import build, good


def test_the_runner_equals_the_interpreter() -> None:
    """Catches a runner that runs another row, computes another value, or refuses another way."""

    def make(view: NodeView) -> Tables:
        return Tables(PROTOCOL, view)

    found, ran = disagreements(make, range(10))
    named = {rule.name for machine in PROTOCOL.machines.values() for rule in machine.rules}
    for name in sorted(named - ran):  # rows with hard guards get some views of their own
        more, also = disagreements(make, range(100, 200), only=name)
        found, ran = found + more, ran | also
    assert found == []
    assert named - ran == set(), "rules that never ran were not compared"


def without_a_guard(rule: Rule) -> Rule:
    """Break a rule: its first conjunct is skipped."""
    return evolve(rule, guards=rule.guards[1:])


def without_an_effect(rule: Rule) -> Rule:
    """Break a rule: its last effect is forgotten."""
    return evolve(rule, effects=rule.effects[:-1])


def to_another_state(rule: Rule) -> Rule:
    """Break a rule: it ends in another state."""
    states = PROTOCOL.machines[rule.table].states
    return evolve(rule, target=states[states.index(rule.target) - 1])


@pytest.mark.parametrize("broken", [without_a_guard, without_an_effect, to_another_state])
@pytest.mark.parametrize("name", ["session: begun -Release-> stepping", "peer: Idle -Offer-> Idle"])
def test_a_broken_runner_is_noticed(name: str, broken: Callable[[Rule], Rule]) -> None:
    """Catches a comparison that agrees with everything: one broken rule must show."""

    def make(view: NodeView) -> Tables:
        tables = Tables(PROTOCOL, view)
        table = name.partition(":")[0]
        machine = PROTOCOL.machines[table]
        rules = tuple(broken(rule) if rule.name == name else rule for rule in machine.rules)
        assert rules != machine.rules
        tables._runners[table] = TableRunner(evolve(machine, rules=rules), view)
        return tables

    found, _ = disagreements(make, range(20), only=name)
    assert found


# --- one small protocol --------------------------------------------------------------------------

P, Q = HOLDERS[:2]
D, X = b"d" * 32, b"x" * 32
VOTE = Vote(**good(Vote))
LAMP = build(
    Row("red", "Vote(p: Peer, d: Digest)", "green", ("lock[p] in (none, d)", "rain"),
        {"lock[p]": "d", "vote[p, d]": "True"}, why="to test"),
    Row("red", "Vote(p: Peer, d: Digest)", "dark", ("lock[p] not in (none, d)", "rain"),
        why="to test"),
    Row("green", "Again(p: Peer, d: Digest)", "same", then={"lock[p]": "d", "vote[p, d]": "True"},
        why="to test"),
    Row("green", "Exchange(p: Peer, q: Peer)", "red", (),
        {"lock[p]": "lock[q]", "lock[q]": "lock[p]"}, why="to test"),
    Row("dark", "Both(p: Peer)", "same", ("not rain", "lock[p] == none"), why="to test"),
)


@pytest.fixture
def tables() -> Tables:
    """The small protocol at one node."""
    return Tables(LAMP, NodeView(LAMP, QUORUM))


def cells(tables: Tables) -> dict[str, dict[tuple[Value, ...], Value]]:
    """Return everything that the small protocol's view holds."""
    return {cell: dict(tables.view.entries(cell)) for cell in tables.protocol.cells}


def test_an_effect_on_a_disk_cell_is_a_write_and_on_a_network_cell_a_send(tables: Tables) -> None:
    """Catches a change that is not flushed, a write of memory, or a message that nobody gets."""
    rule = tables.fire("lamp", "Vote", p=P, d=D, given={"rain": True}, carry={"vote": VOTE})
    assert rule.target == "green"
    assert tables.effects.writes == [Write("lock", (P,), None, D, None)]
    assert tables.effects.sends == [Send("vote", VOTE, None)]
    assert tables.state("lamp", P) == "green"
    assert tables.view.get("lock", P) == D
    assert tables.view.get("vote", P, D) is True


def test_what_rides_along_goes_where_it_belongs(tables: Tables) -> None:
    """Catches an attachment that is lost, and a message for one that goes to all."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables.fire("lamp", "Again", p=P, d=D, carry={"vote": [(Q, VOTE), (P, VOTE)], "lock": "proof"})
    assert tables.effects.writes == [Write("lock", (P,), D, D, "proof")]
    assert tables.effects.sends == [Send("vote", VOTE, Q), Send("vote", VOTE, P)]


def test_a_disk_cell_that_keeps_its_value_is_not_written(tables: Tables) -> None:
    """Catches a flush for nothing, which costs a disk access each."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables.fire("lamp", "Again", p=P, d=D, carry={"vote": VOTE})
    assert tables.effects.writes == []


def test_effects_see_the_state_before_the_row(tables: Tables) -> None:
    """Catches an effect that reads what the effect before it has written."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables.view.put("lock", (Q,), X)
    tables.fire("lamp", "Exchange", p=P, q=Q)
    assert (tables.view.get("lock", P), tables.view.get("lock", Q)) == (X, D)
    assert tables.effects.writes == [Write("lock", (P,), D, X), Write("lock", (Q,), X, D)]


def nothing_changed(tables: Tables, wrong: type[Exception], match: str, **arguments: Any) -> None:
    """Fire, expect the error, and hold everything against what was there before."""
    before = cells(tables)
    with pytest.raises(wrong, match=match):
        tables.fire("lamp", **arguments)
    assert cells(tables) == before
    assert tables.effects == Effects()


def test_an_undefined_pair_is_a_typed_error_that_changes_nothing(tables: Tables) -> None:
    """Catches a protocol error that is ignored, or half done."""
    nothing_changed(tables, Undefined, "lamp: no row for Again in red", event="Again", p=P, d=D)
    with pytest.raises(TransitionError) as caught:
        tables.fire("lamp", "Again", p=P, d=D)
    assert (caught.value.table, caught.value.state, caught.value.event) == ("lamp", "red", "Again")


def test_a_false_guard_is_a_typed_error_that_changes_nothing(tables: Tables) -> None:
    """Catches a refusal that does not say which conjuncts were false, one for each row tried."""
    tables.view.put("lock", (P,), X)
    nothing_changed(
        tables, Refused, r"Vote in red refused: not \(lock\[p\] in \(none, d\)\) / not \(rain\)",
        event="Vote", p=P, d=D, given={"rain": False}, carry={"vote": VOTE},
    )


@pytest.mark.parametrize(
    ("given", "carry", "match"),
    [
        ({"rain": True}, {}, "sends vote without a message"),
        ({"rain": True}, {"vote": Step(**good(Step))}, "vote is sent as Vote"),
        ({"rain": True}, {"vote": [(Q, VOTE), (P, "no")]}, "vote is sent as Vote"),
        ({"rain": True}, {"vote": VOTE, "last": 1}, "does not touch {'last'}"),
        ({}, {"vote": VOTE}, "the guard reads rain, which was not given"),
    ],
)
def test_misuse_is_a_local_fault_that_changes_nothing(
    tables: Tables, given: Facts, carry: dict[str, object], match: str
) -> None:
    """Catches a node that sends nothing, sends something else, or decides without the fact."""
    nothing_changed(tables, LocalFault, match, event="Vote", p=P, d=D, given=given, carry=carry)


@pytest.mark.parametrize(
    ("event", "parameters"),
    [("Vote", {"p": P}), ("Vote", {"p": P, "d": D, "q": Q}), ("Vot", {"p": P, "d": D})],
)
def test_an_event_takes_its_parameters(
    tables: Tables, event: str, parameters: dict[str, Value]
) -> None:
    """Catches a record that is named by half, and an event that no table has."""
    nothing_changed(tables, LocalFault, f"lamp.{event} takes", event=event, **parameters)


def test_conjuncts_are_asked_in_order_and_only_until_one_is_false(tables: Tables) -> None:
    """Catches a runner that asks all, and so needs facts that the first conjunct makes idle."""
    tables.view.put("light", (P,), "dark")
    nothing_changed(tables, Refused, r"not \(not rain\)$", event="Both", p=P, given={"rain": True})
    tables.view.put("lock", (P,), D)
    nothing_changed(
        tables, Refused, r"not \(lock\[p\] == none\)$", event="Both", p=P, given={"rain": False}
    )
    # the first row of Vote stops at the lock; the second one asks for the missing fact
    tables.view.put("light", (P,), "red")
    with pytest.raises(LocalFault, match="rain, which was not given"):
        tables.fire("lamp", "Vote", p=P, d=X, carry={})
    assert "lock" in next(iter(tables.view.reads))


def test_a_condition_answers_for_its_own_guard() -> None:
    """Catches conditions built in a loop that all ask the last guard."""
    view = NodeView(LAMP, QUORUM)
    runner = TableRunner(LAMP.machines["lamp"], view)
    guards = LAMP.machines["lamp"].rules[0].guards
    record = runner._record

    class Moment:  # a condition looks at the model only
        model = record

    for lock, rain in product((None, X), (False, True)):
        view.put("lock", (P,), lock)
        record.load("red", {"p": P, "d": D})
        with view.given({"rain": rain}):
            answers = [_condition(guard)(Moment()) for guard in guards]
        assert answers == [lock is None, rain]
        assert record.refusals == [
            f"({guard.text})" for guard, true in zip(guards, answers, strict=True) if not true
        ]


def test_asking_changes_nothing(tables: Tables) -> None:
    """Catches a question that runs the row."""
    before = cells(tables)
    assert tables.may("lamp", "Vote", p=P, d=D, given={"rain": True})
    assert not tables.may("lamp", "Vote", p=P, d=D, given={"rain": False})
    assert isinstance(tables.why_not("lamp", "Again", p=P, d=D), Undefined)
    assert cells(tables) == before
    assert tables.effects == Effects()


def test_the_trace_tells_table_row_and_facts(tables: Tables) -> None:
    """Catches a log line from which the decision cannot be checked."""
    tables.fire("lamp", "Vote", p=P, d=D, given={"rain": True}, carry={"vote": VOTE})
    assert tables.effects.trace == [
        {
            "table": "lamp",
            "row": 1,
            "event": "Vote",
            "from": "red",
            "to": "green",
            "parameters": {"p": P[:8].hex(), "d": D[:8].hex()},
            "reads": {
                f"lock[{P[:8].hex()}]": "None",
                "rain[]": "True",
                f"vote[{P[:8].hex()}, {D[:8].hex()}]": "False",
            },
            "writes": [f"lock[{P[:8].hex()}]"],
            "sends": ["vote"],
        }
    ]


def test_effects_are_taken_once(tables: Tables) -> None:
    """Catches a write or a message that is done twice, or lost."""
    tables.fire("lamp", "Vote", p=P, d=D, given={"rain": True}, carry={"vote": VOTE})
    taken = tables.take()
    assert (len(taken.writes), len(taken.sends), len(taken.trace)) == (1, 1, 1)
    assert tables.take() == Effects()
    taken.clear()
    assert taken == Effects()


def test_records_do_not_share_their_state(tables: Tables) -> None:
    """Catches a machine that remembers the record of the last event."""
    tables.fire("lamp", "Vote", p=P, d=D, given={"rain": True}, carry={"vote": VOTE})
    assert tables.state("lamp", Q) == "red"
    tables.fire("lamp", "Vote", p=Q, d=D, given={"rain": True}, carry={"vote": VOTE})
    assert (tables.state("lamp", P), tables.state("lamp", Q)) == ("green", "green")
    assert tables.state("other", P) == "red"


def test_a_quorum_of_another_epoch_counts_for_one_event_only() -> None:
    """Catches votes that are counted among the wrong holders."""
    protocol: Protocol = build(
        Row("red", "Go(p: Peer, d: Digest)", "green", "voted_for(d)", why="to test")
    )
    tables = Tables(protocol, NodeView(protocol, QUORUM))
    for voter in HOLDERS[:2]:
        tables.view.deliver("vote", voter, D)
    assert not tables.may("lamp", "Go", p=P, d=D)
    assert tables.may("lamp", "Go", p=P, d=D, quorum=Quorum(HOLDERS[:3], 2, 0))
    assert not tables.may("lamp", "Go", p=P, d=D, quorum=Quorum(HOLDERS[1:], 2, 0))
    assert tables.view.quorum == QUORUM
