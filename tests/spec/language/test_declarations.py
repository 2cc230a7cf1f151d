"""The plain data of the table language refuses what it cannot mean."""

from __future__ import annotations

import pytest

from spec.language.declarations import Cell, Definition, Row, SpecError, parse_signature


def test_signature_gives_name_and_parameters_in_order() -> None:
    """Catches a parser that loses the order, on which the place of an index depends."""
    name, parameters = parse_signature(" Lock( p: Peer , d:Digest )")
    assert name == "Lock"
    assert list(parameters.items()) == [("p", "Peer"), ("d", "Digest")]
    assert parse_signature("Tick()") == ("Tick", {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Lock", "not of the form Name"),
        ("Lock(p: Peer", "not of the form Name"),
        ("Lock(p)", "'p' is not of the form parameter: Sort"),
        ("Lock(p: )", "is not of the form parameter: Sort"),
        ("Lock(p: Peer, p: Digest)", "parameter p appears twice"),
        ("Lock(2: Peer)", "is not of the form parameter: Sort"),
    ],
)
def test_malformed_signatures_are_refused(text: str, complaint: str) -> None:
    """Catches a signature that is half understood."""
    with pytest.raises(SpecError, match=complaint):
        parse_signature(text)


def test_a_cell_is_kept_somewhere() -> None:
    """Catches a storage class with a typo, which would decide what a crash forgets."""
    with pytest.raises(SpecError, match=r"cell lock: kept='disc' is none of memory, disk"):
        Cell("lock", "bool", (), "False", "disc", "")


def test_one_conjunct_may_be_written_without_a_tuple() -> None:
    """Catches a guard that is taken apart letter by letter."""
    assert Row("a", "E()", "b", "x").only_if == ("x",)
    assert Row("a", "E()", "b", ("x", "y")).only_if == ("x", "y")
    assert Row("a", "E()", "b").only_if == ()


def test_a_definition_knows_its_name() -> None:
    """Catches definitions stored under their whole signature."""
    assert Definition("quorum(d: Digest)", "True", "").name == "quorum"
