"""The properties: their names, and formulas that can be true and can be false."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import spec
from model_checks.models import CASES
from model_checks.system import LIVENESS as WISHES
from spec.invariants import FORMULAS, LIVENESS, PROPERTIES, SAFETY, Property
from spec.language.assembly import cells_read
from spec.language.declarations import SpecError
from spec.language.interpreter import Index, Value, evaluate
from spec.protocol import PROTOCOL
from tests.spec.support import Dictionary

ROOT = Path(str(spec.__file__)).parent.parent

SAFETY_NAMES = """NoDoubleSign NoDoubleSignLocal NoSlotReuse NoPayAndRefund
    CertificateUnique DurableBeforeSend NoForgedMember SetAgreement
    BlockNeedsProof RegroupIgnoresBlocks KeyAvailable LockInAgreement StatusMonotone OneSession
    NoStepBeforeBegin InstanceMatch AuthenticatedBeforeUse NoSelfLink CookieOnce PeerBound
    LimitsHeld SwapExclusive NoInputTwice OneVersionMined"""
LIVENESS_NAMES = """EventDecides CoordinatorRotates SessionEnds RoundProgress CooldownLeaves
    RegroupEnds KeygenEnds LinkForms SuspectClears SwapSettles EveryDepositEnds"""

SORTS: dict[str, tuple[Value, ...]] = {
    "Peer": (0, 1, 2, 3), "Event": (5,), "Attempt": (1, 2), "Digest": (7, 8), "Key": (1, 2),
    "Link": (9,), "Instance": (3,), "Swap": (4,),
}


def votes(attempt: int, digest: int, *voters: int) -> dict[tuple[str, Index], Value]:
    """Return votes with their records."""
    return {
        **{("vote", (q, 5, attempt, digest)): True for q in voters},
        **{("voted", (q, 5, attempt)): digest for q in voters},
    }


BROKEN: dict[str, dict[tuple[str, Index], Value]] = {
    # n, t, f are 4, 3, 1: two correct releases and a liar's are three
    "NoDoubleSign": {("released_in", (q, 5, *((1, 7) if q < 2 else (2, 8)))): True
                     for q in range(4)},
    "NoDoubleSignLocal": {**votes(1, 7, 0, 1, 2), ("released", (0, 5, 7)): True,
                          ("released", (0, 5, 8)): True},
    "CertificateUnique": {**votes(1, 7, 0, 1, 2), **votes(1, 8, 1, 2, 3)},
    "DurableBeforeSend": {("vote", (0, 5, 1, 7)): True, ("voted", (0, 5, 1)): 8},
    "NoStepBeforeBegin": {("session", (0, 5, 1)): "stepping", ("session_digest", (0, 5, 1)): 7,
                          ("released", (0, 5, 7)): True, **votes(1, 7, 0, 1, 2)},
    "OneSession": {("session", (0, 5, 1)): "stepping", ("session", (0, 5, 2)): "stepping"},
    "NoPayAndRefund": {("status", (0, 5)): "EXPIRED", ("signature_kept", (1, 5, 7)): True},
    "BlockNeedsProof": {("standing", (0, 1)): "blocked"},
    "KeyAvailable": {("key", (0, 1)): "locked_in", ("key_share", (0, 1)): True},
    "LockInAgreement": {("key", (0, 1)): "locked_in", ("key", (1, 2)): "locked_in"},
    "AuthenticatedBeforeUse": {("link", (0, 9)): "established", ("other_end", (0, 9)): 1},
    "NoSelfLink": {("link", (0, 9)): "challenged", ("other_end", (0, 9)): 0},
    "CookieOnce": {("link_proved", (0, 9)): True},
}

FINE: dict[tuple[str, Index], Value] = {
    **votes(1, 7, 0, 1, 2),
    **{("released", (q, 5, 7)): True for q in (0, 1, 2)},
    **{("share", (q, 5, 7)): True for q in (0, 1, 2)},
    **{("lock", (q, 5)): 7 for q in (0, 1, 2)},
    ("session", (0, 5, 1)): "stepping",
    ("session_digest", (0, 5, 1)): 7,
    ("status", (0, 5)): "SUCCESS",
    ("signature_kept", (0, 5, 7)): True,
    ("standing", (0, 1)): "blocked",
    ("block_until", (0, 1)): True,
    **{("key", (q, 1)): "locked_in" for q in (0, 1, 2, 3)},
    **{("key_share", (q, 1)): True for q in (0, 1, 2, 3)},
    ("link", (0, 9)): "established",
    ("other_end", (0, 9)): 1,
    ("link_proved", (0, 9)): True,
    ("cookie_spent", (0, 9)): True,
}


def test_every_property_is_there() -> None:
    """Catches a property that was dropped, or renamed in one place only."""
    assert {each.name for each in SAFETY} == set(SAFETY_NAMES.split())
    assert {each.name for each in LIVENESS} == set(LIVENESS_NAMES.split())
    assert len(PROPERTIES) == len({each.name for each in PROPERTIES})
    assert all(each.meaning.endswith(".") for each in PROPERTIES)
    assert all(each.kind == "liveness" for each in LIVENESS)
    assert all((each.kind == "invariant") == bool(each.formula) for each in SAFETY)


def test_a_property_has_a_formula_or_a_place() -> None:
    """Catches a property that only has a name, and one that is wrong and says so nowhere."""
    with pytest.raises(SpecError, match="property P needs a formula, or where it is looked at"):
        Property("P", "step", "It holds.")
    with pytest.raises(SpecError, match="property P: 'state' is none of invariant"):
        Property("P", "state", "It holds.", formula="True")
    with pytest.raises(SpecError, match="property P: unknown cell 'lokc'"):
        Property("P", "invariant", "It holds.", formula="lokc[p] == none").parsed()


def test_the_first_state_and_a_good_one_keep_every_property() -> None:
    """Catches a formula that nothing can satisfy."""
    for values in ({}, FINE):
        view = Dictionary(PROTOCOL, dict(values), SORTS)
        broken = [name for name, formula in FORMULAS.items() if not evaluate(formula, view, {})]
        assert broken == []


@pytest.mark.parametrize("name", FORMULAS)
def test_each_formula_can_be_broken(name: str) -> None:
    """Catches a formula that is always true, and so says nothing."""
    assert not evaluate(FORMULAS[name], Dictionary(PROTOCOL, BROKEN[name], SORTS), {})


def test_no_formula_speaks_of_given_facts() -> None:
    """Catches a property of the surroundings instead of one of the protocol."""
    for name, formula in FORMULAS.items():
        for cell in cells_read(formula):
            assert PROTOCOL.cells[cell].kept != "given" or cell == "needs_all", name


def test_final_states_are_final() -> None:
    """Catches a way out of SUCCESS, EXPIRED, Completed or Refunded, or back to the beginning."""
    final = {"event": ("SUCCESS", "EXPIRED"), "swap": ("Completed", "Refunded"),
             "session": ("finished", "expired")}
    for table, states in final.items():
        for rule in PROTOCOL.machines[table].rules:
            if rule.source in states:
                assert rule.target == rule.source, rule.name
    for table, beginning in (("event", "UNKNOWN"), ("session", "absent"), ("key", "no_key")):
        for rule in PROTOCOL.machines["keygen" if table == "key" else table].rules:
            assert rule.target != beginning, rule.name


def test_no_other_table_reads_the_block_list() -> None:
    """Catches a block that decides who signs (RegroupIgnoresBlocks, F-08)."""
    for machine in PROTOCOL.machines.values():
        for rule in machine.rules:
            for guard in rule.guards:
                assert "standing" not in cells_read(guard.formula), rule.name


def asked_by() -> dict[str, set[str]]:
    """Return for each property the names of the networks' files that ask it, variants left out."""
    found: dict[str, set[str]] = {}
    for case in CASES:
        if not case.refuted:
            for prop in case.network.properties:
                found.setdefault(prop.name, set()).add(case.network.name)
    return found


def names_of_tests(file: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("prop", PROPERTIES, ids=lambda each: each.name)
def test_every_property_is_asked_of_a_network_or_pinned_by_a_test(prop: Property) -> None:
    """Catches a property that only has a name: nothing would notice when it no longer holds."""
    pinned = re.findall(r"(tests/[\w/]+\.py)::(\w+)", prop.looked_at)
    assert asked_by().get(prop.name) or pinned
    for file, name in pinned:
        assert name in names_of_tests(file)
    for network in re.findall(r"models/(\w+)\.py", prop.looked_at):
        model = import_module(f"model_checks.models.{network}").MODEL
        held = (case.network for case in model.cases if not case.refuted)
        asked = {each.name for network in held for each in network.properties}
        # InstanceMatch: the name is pinned by a test, the network asks that it is used once.
        assert prop.name in asked or pinned


def test_what_comes_in_the_end_is_asked_as_what_every_fair_run_comes_to() -> None:
    """Catches a promise of which a network is asked only whether it can be kept."""
    asked = {
        (prop.name, prop.kind)
        for case in CASES if not case.refuted
        for prop in case.network.properties
    }
    assert not {each.name for each in LIVENESS} - {name for name, kind in asked if kind in WISHES}
    assert not {(each.name, "always_can") for each in LIVENESS} & asked
