"""The runner executes the tables exactly as the interpreter means them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from operator import attrgetter
from typing import Any

import pytest
from attrs import evolve, frozen

from metanode.errors import LocalFault
from metanode.protocol.tables import runner
from metanode.protocol.tables.effects import Effects, Send, Write
from metanode.protocol.tables.registry import ATTACHMENT, MESSAGE
from metanode.protocol.tables.runner import (
    Refused,
    TableRunner,
    Tables,
    TransitionError,
    Undefined,
    _condition,
)
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView, Quorum
from spec import messages
from spec.attached import Attachment
from spec.language.assembly import Protocol, Rule
from spec.language.declarations import Definition, Row, Sort
from spec.language.interpreter import Value
from spec.messages import MESSAGE_OF_CELL, Certificate, LockedCandidate, Step
from spec.protocol import PROTOCOL
from tests.protocol.tables.support import HOLDERS, QUORUM, disagreements
from tests.spec.support import DEFINITIONS, SORTS, build, good


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
        tables._runners[table] = TableRunner(evolve(machine, rules=rules))
        return tables

    found, _ = disagreements(make, range(20), only=name)
    assert found


# --- one small protocol --------------------------------------------------------------------------

P, Q = HOLDERS[:2]
D, X = b"d" * 32, b"x" * 32
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


@frozen
class Said:
    """What the small protocol sends: about a digest, and nothing else."""

    INDEX = ("digest",)
    digest: bytes


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    """The small protocol at one node: it rains, and a vote is about its digest."""
    monkeypatch.setitem(MESSAGE_OF_CELL, "vote", Said)
    monkeypatch.setitem(messages._READERS, Said, (attrgetter("digest"),))
    monkeypatch.setattr(runner, "ATTACHED", {})
    made = Tables(LAMP, NodeView(LAMP, QUORUM), P)
    made.view.providers["rain"] = lambda: True
    made._builders[MESSAGE, "vote"] = lambda _p, d: Said(d)
    return made


def cells(tables: Tables) -> dict[str, dict[tuple[Value, ...], Value]]:
    """Return everything that the small protocol's view holds."""
    return {cell: dict(tables.view.entries(cell)) for cell in tables.protocol.cells}


def test_an_effect_on_a_disk_cell_is_a_write_and_on_a_network_cell_a_send(tables: Tables) -> None:
    """Catches a change that is not flushed, a write of memory, or a message that nobody gets."""
    rule = tables.fire("lamp.Vote", d=D)
    assert rule.target == "green"
    assert tables.effects.writes == [Write("lock", (P,), None, D, None)]
    assert tables.effects.sends == [Send("vote", Said(D), None)]
    assert tables.state("lamp") == "green"
    assert tables.view.get("lock", P) == D
    assert tables.view.get("vote", P, D) is True


def test_what_is_stored_beside_a_cell_and_who_gets_a_message(tables: Tables) -> None:
    """Catches an attachment that is lost, and a message for some that goes to all."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables._builders[ATTACHMENT, "lock"] = lambda _p: "proof"
    tables.fire("lamp.Again", d=D, to=[Q, P])
    assert tables.effects.writes == [Write("lock", (P,), D, D, "proof")]
    assert tables.effects.sends == [Send("vote", Said(D), Q), Send("vote", Said(D), P)]
    tables._builders[MESSAGE, "vote"] = lambda _p, d: [(Q, Said(d))]
    tables.take()
    tables.fire("lamp.Again", d=D)
    assert tables.effects.sends == [Send("vote", Said(D), Q)]


def test_what_is_stored_beside_a_cell_says_what_the_row_writes(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a lock that is stored with the certificate of another digest, or of another peer."""
    tie = Attachment(("certificate.event",), {"lock": "certificate.digest"})
    monkeypatch.setattr(runner, "ATTACHED", {"lock": tie})
    for place in ("digest", "event"):
        fields = {**good(Certificate), "digest": D, "event": b"e" * 32, place: X}
        kept = LockedCandidate(b"", Certificate(**fields))
        tables._builders[ATTACHMENT, "lock"] = lambda _p, kept=kept: kept
        nothing_changed(tables, LocalFault, "beside lock is not what the row writes", "Vote", d=D)


def test_a_disk_cell_that_keeps_its_value_is_not_written(tables: Tables) -> None:
    """Catches a flush for nothing, which costs a disk access each."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables.fire("lamp.Again", d=D)
    assert tables.effects.writes == []


def test_effects_see_the_state_before_the_row(tables: Tables) -> None:
    """Catches an effect that reads what the effect before it has written."""
    tables.view.put("light", (P,), "green")
    tables.view.put("lock", (P,), D)
    tables.view.put("lock", (Q,), X)
    tables.fire("lamp.Exchange", q=Q)
    assert (tables.view.get("lock", P), tables.view.get("lock", Q)) == (X, D)
    assert tables.effects.writes == [Write("lock", (P,), D, X), Write("lock", (Q,), X, D)]


def nothing_changed(
    tables: Tables, wrong: type[Exception], match: str, event: str, **arguments: Any
) -> None:
    """Fire, expect the error, and hold everything against what was there before."""
    before = cells(tables)
    with pytest.raises(wrong, match=match):
        tables.fire(f"lamp.{event}", **arguments)
    assert cells(tables) == before
    assert tables.effects == Effects()


def test_an_undefined_pair_is_a_typed_error_that_changes_nothing(tables: Tables) -> None:
    """Catches a protocol error that is ignored, or half done."""
    nothing_changed(tables, Undefined, "lamp: no row for Again in red", "Again", d=D)
    with pytest.raises(TransitionError) as caught:
        tables.fire("lamp.Again", d=D)
    assert (caught.value.table, caught.value.state, caught.value.event) == ("lamp", "red", "Again")


def test_a_false_guard_is_a_typed_error_that_changes_nothing(tables: Tables) -> None:
    """Catches a refusal that does not say which conjuncts were false, one for each row tried."""
    tables.view.put("lock", (P,), X)
    tables.view.providers["rain"] = lambda: False
    nothing_changed(
        tables, Refused, r"Vote in red refused: not \(lock\[p\] in \(none, d\)\) / not \(rain\)",
        "Vote", d=D,
    )


def test_trying_tells_whether_it_ran_and_why_not(tables: Tables) -> None:
    """Catches a try that raises, changes something, or keeps no reason."""
    assert not tables.tries("lamp.Again", d=D)
    assert isinstance(tables.refusal, Undefined)
    assert tables.effects == Effects()
    assert tables.tries("lamp.Vote", d=D)
    assert tables.state("lamp") == "green"


@pytest.mark.parametrize(
    ("built", "match"),
    [
        (None, "nothing here builds its message"),
        (lambda _p, _d: Step(**good(Step)), "vote is sent as Said"),
        (lambda _p, _d: None, "vote is sent as Said"),
        (lambda _p, d: [(Q, Said(d)), (P, "no")], "vote is sent as Said"),
        (lambda _p, _d: [], "there must be a message"),
        (lambda _p, _d: Said(X), "a Said about .*, the row is about"),
    ],
)
def test_a_wrong_message_is_a_local_fault_that_changes_nothing(
    tables: Tables, built: Any, match: str
) -> None:
    """Catches a node that sends nothing, sends something else, or speaks of another digest."""
    tables._builders[MESSAGE, "vote"] = built
    if built is None:
        del tables._builders[MESSAGE, "vote"]
    nothing_changed(tables, LocalFault, match, "Vote", d=D)


def test_a_fact_that_nobody_provides_is_a_local_fault(tables: Tables) -> None:
    """Catches a node that decides without the fact."""
    del tables.view.providers["rain"]
    nothing_changed(tables, LocalFault, "reads rain, and nothing here provides it", "Vote", d=D)


def test_a_fact_is_asked_for_once_in_a_firing(tables: Tables) -> None:
    """Catches two rows of one event that see two answers, and an answer that outlives its event."""
    answers = iter([True, False, True])
    tables.view.providers["rain"] = lambda: next(answers)
    tables.view.put("lock", (P,), X)
    assert tables.fire("lamp.Vote", d=D).target == "dark"
    assert not tables.tries("lamp.Both")
    assert next(answers) is True


@pytest.mark.parametrize(
    ("event", "parameters"), [("Vote", {}), ("Vote", {"d": D, "q": Q}), ("Vot", {"d": D})]
)
def test_an_event_takes_its_parameters(
    tables: Tables, event: str, parameters: dict[str, Value]
) -> None:
    """Catches a record that is named by half, and an event that no table has."""
    nothing_changed(tables, LocalFault, f"lamp.{event} takes", event, **parameters)


def test_conjuncts_are_asked_in_order_and_only_until_one_is_false(tables: Tables) -> None:
    """Catches a runner that asks all, and so needs facts that the first conjunct makes idle."""
    tables.view.put("light", (P,), "dark")
    nothing_changed(tables, Refused, r"not \(not rain\)$", "Both")
    tables.view.put("lock", (P,), D)
    tables.view.providers["rain"] = lambda: False
    nothing_changed(tables, Refused, r"not \(lock\[p\] == none\)$", "Both")
    # the first row of Vote stops at the lock; the second one asks for the missing fact
    tables.view.put("light", (P,), "red")
    del tables.view.providers["rain"]
    nothing_changed(tables, LocalFault, "reads rain", "Vote", d=X)
    assert "lock" in next(iter(tables.view.reads))


def test_a_condition_answers_for_its_own_guard() -> None:
    """Catches conditions built in a loop that all ask the last guard."""
    view = NodeView(LAMP, QUORUM)
    table = TableRunner(LAMP.machines["lamp"])
    guards = LAMP.machines["lamp"].rules[0].guards
    record = table._record

    class Moment:  # a condition looks at the model only
        model = record

    for lock, rain in product((None, X), (False, True)):
        view.put("lock", (P,), lock)
        view.providers["rain"] = lambda rain=rain: rain
        record.load(view, "red", {"p": P, "d": D})
        view.begin_reading()
        answers = [_condition(guard)(Moment()) for guard in guards]
        assert answers == [lock is None, rain]
        assert record.refusals == [
            f"({guard.text})" for guard, true in zip(guards, answers, strict=True) if not true
        ]


def test_asking_changes_nothing(tables: Tables) -> None:
    """Catches a question that runs the row."""
    before = cells(tables)
    assert tables.why_not("lamp.Vote", d=D) is None
    assert isinstance(tables.why_not("lamp.Again", d=D), Undefined)
    assert cells(tables) == before
    assert tables.effects == Effects()


def test_the_trace_tells_table_row_facts_and_input(tables: Tables) -> None:
    """Catches a log line from which the decision cannot be checked."""
    tables.fire("lamp.Vote", d=D)
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
            "input": "",
            "turn": [0, 0],
        }
    ]


def test_nothing_is_fired_that_the_input_at_hand_does_not_say(tables: Tables) -> None:
    """Catches a row that runs in a step which does not name it: it must not even leave a write."""
    tables.turn = Turn.of("pardon")
    tables.turn.begin(0)
    nothing_changed(tables, LocalFault, "input pardon, step pardon: lamp.Vote may not", "Vote", d=D)


def test_effects_are_taken_once(tables: Tables) -> None:
    """Catches a write or a message that is done twice, or lost."""
    tables.fire("lamp.Vote", d=D)
    taken = tables.take()
    assert (len(taken.writes), len(taken.sends), len(taken.trace)) == (1, 1, 1)
    assert tables.take() == Effects()


def test_records_do_not_share_their_state(tables: Tables) -> None:
    """Catches a machine that remembers the record of the last event."""
    tables.fire("lamp.Vote", d=D)
    assert tables.state("lamp", Q) == "red"
    tables.fire("lamp.Vote", p=Q, d=D)
    assert (tables.state("lamp"), tables.state("lamp", Q)) == ("green", "green")
    assert tables.state("other") == "red"


def test_a_quorum_of_another_epoch_counts_where_it_is_named() -> None:
    """Catches votes that are counted among the wrong holders (F-19), or among nobody."""
    definition = Definition("counted(d: Digest, h: Epoch)", "among(h, voted_for(d))", "to test")
    protocol: Protocol = build(
        Row("red", "Go(p: Peer, h: Epoch, d: Digest)", "green", "counted(d, h)", why="to test"),
        definitions=(*DEFINITIONS, definition),
        sorts=(*SORTS, Sort("Epoch", "holders", ordered=True)),
    )
    tables = Tables(protocol, NodeView(protocol, QUORUM), P)
    for voter in HOLDERS[:2]:
        tables.view.deliver("vote", voter, D)
    counted = {1: Quorum(HOLDERS[:3], 2, 0), 2: Quorum(HOLDERS[1:], 2, 0), 3: QUORUM}
    tables.view.scopes = lambda _sorts, index: counted.get(index[0])
    assert tables.why_not("lamp.Go", h=1, d=D) is None
    for epoch in (2, 3, 4):
        assert isinstance(tables.why_not("lamp.Go", h=epoch, d=D), Refused)
    assert tables.view.quorum == QUORUM
