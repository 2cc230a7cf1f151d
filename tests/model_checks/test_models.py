"""The models at toy size by the oracle, and what is asked of them.

The expected verdicts and numbers of every model are what `python -m model_checks check --fast`
compares; they are not searched a second time here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve

from model_checks.cases import Counts, one_event, quorum
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance, Oracle
from model_checks.models import (
    CASES,
    CONTROLS,
    PROOFS,
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
    signing_variants,
    swap_settlement,
    two_phase_commit,
)
from model_checks.models.shared import promised
from model_checks.substitution import Meant, populated
from model_checks.system import Network, Scope, close
from spec.invariants import FORMULAS
from spec.language.assembly import cells_read
from spec.language.declarations import Enum, SpecError
from spec.language.expressions import Parser
from spec.language.ir import INT, Node, Variable, sort_type
from spec.protocol import PROTOCOL


def test_what_faults_tell() -> None:
    """Catches a comparison that overlooks a difference."""
    case = next(c for c in CASES if c.network.name == "link_whoever_notices")
    result = case.run()
    assert Counts.of(result) == case.pinned
    assert case.faults(result) == []
    shallow = evolve(case, pinned=evolve(case.pinned, depth=3))
    assert shallow.faults(result) == ["depth is 21, pinned is 3"]
    surprised = evolve(case, refuted=("LinkForms",))
    assert surprised.faults(result) == ["WinnerStays is violated: 16 steps"]
    hopeful = evolve(case, refuted=("LinkForms", "WinnerStays", "NoSelfLink"))
    assert hopeful.faults(result) == ["NoSelfLink is not refuted any more"]
    shy = evolve(case, unreached=("BothUp",))
    assert shy.faults(result) == ["witness BothUp is reached"]


TOYS: tuple[tuple[Network, Mapping[str, int], Mapping[str, int]], ...] = (
    (two_phase_commit.NETWORK, {"Manager": 3}, {}),
    (signing.NETWORK, one_event(2, 2, 2), quorum(2, 0, 2)),
    (signing_variants.LOCK_IN_MEMORY, one_event(2, 2, 2), quorum(2, 0, 2)),
    (signing.EAGER_LIARS, one_event(3, 1, 2), quorum(3, 1, 2)),
    (event_status.NETWORK, one_event(2), quorum(2, 0, 2) | {"R": 1}),
    (refund_against_payout.OWN_WORD, one_event(2), quorum(2, 1, 1) | {"R": 2}),
    (keygen_lock_in.ENDS_LOCALLY, {"Peer": 2, "Key": 2}, quorum(2, 1, 2)),
    (link_duplicates.WHOEVER_NOTICES, {"Peer": 2, "Link": 2}, {}),
    (handshake_relay.WITHOUT_ROLE, {"Peer": 2, "Link": 1}, {"F": 1}),
    (regroup_handover.NETWORK, one_event(2, 2) | {"Epoch": 2}, quorum(1, 0, 1)),
    (regroup_phase.NETWORK, {"Peer": 2, "Attempt": 1, "Digest": 1, "Epoch": 2}, {"T": 2}),
    (regroup_retry.NETWORK, {"Peer": 2, "Event": 1, "Attempt": 1, "Digest": 1, "Epoch": 2},
     quorum(2, 1, 1)),
    (session_end.NETWORK, one_event(1, 2), quorum(1, 0, 1)),
    (block_list.NETWORK, {"Peer": 2}, quorum(2, 1, 1)),
    (swap_settlement.OTHER_COINS, {"Peer": 2, "Swap": 1}, quorum(2, 1, 1)),
    (cooldown.ADVERTISED, {"Peer": 3, "Event": 1, "Attempt": 1, "Digest": 1},
     quorum(3, 1, 2)),
    (coordinator_rotation.NETWORK, one_event(2), quorum(2, 0, 2)),
)


@pytest.mark.parametrize(
    ("network", "sizes", "constants"), TOYS, ids=[network.name for network, _, _ in TOYS]
)
def test_like_the_oracle(
    network: Network, sizes: Mapping[str, int], constants: Mapping[str, int]
) -> None:
    """Catches an engine that misreads a row of the protocol."""
    instance = Instance(close(network), sizes, constants)
    fast, slow = Explicit(instance).explore(), Oracle(instance).explore()
    assert (fast.distinct, fast.generated, fast.depth) == (
        slow.distinct, slow.generated, slow.depth,
    )
    for one, other in ((fast.violated, slow.violated), (fast.reached, slow.reached)):
        assert {k: len(v) for k, v in one.items()} == {k: len(v) for k, v in other.items()}


def test_lock_in_memory_is_refuted_by_the_oracle_too() -> None:
    """Catches a negative control that only the fast engine sees: one word, disk to memory."""
    sizes = one_event(2, 2, 2)
    constants = quorum(2, 0, 2)
    kept = Oracle(Instance(close(signing.NETWORK), sizes, constants)).explore()
    lost = Oracle(Instance(close(signing_variants.LOCK_IN_MEMORY), sizes, constants)).explore()
    assert not kept.violated
    assert {name: len(steps) for name, steps in lost.violated.items()} == {
        "LocksMoveForward": 4,
        "NoDoubleSign": 14,
    }


def test_a_row_that_is_not_there() -> None:
    """Catches a network that runs less than it names."""
    for row, complaint in (
        (("regrouping", "Found"), "there is no table regrouping"),
        (("regroup", "Find"), "table regroup has no event Find"),
    ):
        with pytest.raises(SpecError, match=complaint):
            close(evolve(regroup_retry.NETWORK, rows=(row,)))


def test_a_network_may_use_words_of_the_protocol_for_its_own() -> None:
    """Catches a spec of a user's own that the next value of a table's enum would break."""
    words = {value for cell in two_phase_commit.NETWORK.cells if isinstance(cell.type, Enum)
             for value in cell.type.values}
    theirs = {value for enum in PROTOCOL.names.enums.values() for value in enum.values}
    assert words & theirs == {"prepared"}
    manager = close(two_phase_commit.NETWORK).names.enum_of("prepared")
    assert manager is two_phase_commit.MANAGER


def test_a_promise_has_one_text() -> None:
    """Catches a network that is asked something else under the name of a promise."""
    networks = (case.network for case in (*CASES, *PROOFS, *CONTROLS))
    for prop in {p for network in networks for p in network.properties if p.name in FORMULAS}:
        assert promised(prop.name) == (prop,)


def test_promises_speak_of_correct_peers() -> None:
    """Catches a liar's cells that break a promise, and a certificate without the liars' votes."""
    formulas = {c.property.name: c.formula for c in close(signing.NETWORK).properties}
    assert "faulty" in cells_read(formulas["NoDoubleSign"])
    assert "faulty" not in cells_read(formulas["CertificateUnique"])
    nobody_lies = close(link_duplicates.NETWORK).properties
    assert all("faulty" not in cells_read(checked.formula) for checked in nobody_lies)


def test_among_speaks_of_those_who_are_meant() -> None:
    """Catches votes of others that count, numbers of others, and a body inside a body mixed up."""
    names = close(regroup_handover.FEWER_HOLDERS).names
    scope = {v: Variable(sort_type(s), v) for v, s in (("e", "Event"), ("a", "Attempt"),
                                                       ("b", "Attempt"))}
    peer = Variable(sort_type("Peer"), "q")
    member = Parser(names, {**scope, "q": peer}).parse("voted[q, e, a] == none")
    number = Parser(names, scope).parse("N", INT)
    meant = Meant(("e", "a"), "q", member, {"T": number})

    def read(text: str) -> Node:
        return Parser(names, scope).parse(text)

    inner = "any(voted[p, e, b] == none and faulty[p] for p in Peer)"
    for text, wanted in (
        ("among(e, b, count(q for q in Peer if faulty[q]) >= T)",
         "count(q for q in Peer if voted[q, e, b] == none and faulty[q]) >= N"),
        ("among(e, b, all(faulty[q] for q in Peer))",
         "all(implies(voted[q, e, b] == none, faulty[q]) for q in Peer)"),
        ("among(e, a, any(among(e, b, any(faulty[p] for p in Peer)) for q in Peer))",
         f"any(voted[q, e, a] == none and {inner} for q in Peer)"),
    ):
        assert populated(read(text), {("Event", "Attempt"): meant}) == read(wanted)
    text = "among(e, b, count(q for q in Peer if faulty[q]) >= T)"
    assert populated(read(text), {}) == read("count(q for q in Peer if faulty[q]) >= T")


def test_a_scope_that_means_nothing() -> None:
    """Catches a scope that is dropped, or that reads what is not there."""
    wrong = (Scope("e: Event, a: Attempt", "hods(q, a)"), Scope("e: Event", "True", {"T": "e"}))
    for scope in wrong:
        with pytest.raises(SpecError, match="network regroup_handover, scope e: Event"):
            close(evolve(regroup_handover.NETWORK, scopes=(scope,)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"first[p]": "True"}, "'first\\[p\\]' is not a cell"),
        ({"is_member[p, e, a]": "nothing"}, "given is_member\\[p, e, a\\]: unknown name"),
        ({"is_member[p, e, a]": "event_over[e]", "event_over[e]": "False"}, "put it below"),
    ],
)
def test_stand_ins_that_mean_nothing(given: dict[str, str], message: str) -> None:
    """Catches a stand-in that is dropped, or reads a cell that another stand-in has replaced."""
    with pytest.raises(SpecError, match=message):
        close(evolve(signing.NETWORK, given=given))
