"""The message catalogue: one message a network cell, and no field without its bound."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from spec import messages, night_messages, parts
from spec.messages import (
    ADDRESS_CHARACTERS,
    ENVELOPED,
    HANDSHAKE,
    HANDSHAKE_MESSAGES,
    MESSAGE_OF_CELL,
    MESSAGES,
    Certificate,
    EcdsaSignature,
    EventDigest,
    LockedCandidate,
    OutpointRef,
    SignedConfirmation,
    SignedVote,
)
from spec.night_messages import Candidacy, Silence
from spec.protocol import PROTOCOL
from tests.spec.support import GOOD, good

PARTS = (
    OutpointRef, SignedVote, Certificate, LockedCandidate, EcdsaSignature, SignedConfirmation,
    Candidacy, Silence, EventDigest,
)
CLASSES = (*PARTS, *HANDSHAKE, *ENVELOPED)
FRAME_BOUND_ONLY = {("Keepalive", "endpoints")}
"""Texts whose own length only the frame bounds, and the parser of whoever reads them."""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_good_fields_are_taken(cls: type) -> None:
    """Catches a class that refuses everything, which would make the next test worthless."""
    made = cls(**good(cls))
    assert attrs.evolve(made) == made
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.anything = 1  # type: ignore[attr-defined]  # it must not be there


def too_much(name: str, kind: str) -> list[Any]:
    """Return values that a field of this type must refuse."""
    if "tuple" in kind:
        return [tuple(bytes(33) for _ in range(600)), tuple(range(10_000)), [], None]
    if kind == "int":
        return [-1, 1 << 63, True, "1", 1.0, None]
    if kind == "bytes":
        long = bytes(1 << 20)
        return [long, long + b"x", "x" * 32, None, bytearray(32)]
    if kind == "bytes | None":
        return [bytes(1 << 20), b"", "x"]
    if kind == "str":
        return ["x" * (17 if name != "seen_as" else ADDRESS_CHARACTERS + 1), b"x", None]
    return [0, None if "None" not in kind else 1, object()]


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, each.name) for cls in CLASSES for each in attrs.fields(cls)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_field_is_bounded(cls: type, name: str) -> None:
    """Catches a field in which a peer could send anything, of any size."""
    declared = attrs.fields_dict(cls)[name].type  # a text until somebody resolves the types
    kind = declared.__name__ if isinstance(declared, type) else str(declared)
    for value in too_much(name, kind):
        with pytest.raises((ValueError, TypeError), match=name):
            cls(**{**good(cls), name: value})


def test_lists_of_ids_hold_ids() -> None:
    """Catches a list whose length is bounded, but not what is in it."""
    for cls in CLASSES:
        for each in attrs.fields(cls):
            if str(each.type) == "tuple[bytes, ...]":
                for item in (bytes(32), bytes(34), "x" * 33, None):
                    with pytest.raises(ValueError, match=f"each of {each.name} must have 33"):
                        cls(**{**good(cls), each.name: (bytes(33), item)})
    texts = {
        (cls.__name__, each.name)
        for cls in CLASSES
        for each in attrs.fields(cls)
        if str(each.type) == "tuple[str, ...]"
    }
    assert texts == FRAME_BOUND_ONLY


def test_every_network_cell_has_one_message() -> None:
    """Catches a send without a message, and a message that no row sends."""
    cells = [cls.CELL for cls in MESSAGES.values()]
    network = {cell.name for cell in PROTOCOL.cells.values() if cell.kept == "network"}
    assert sorted(cells) == sorted(network)
    assert set(MESSAGE_OF_CELL) == network
    assert all(MESSAGE_OF_CELL[cls.CELL] is cls for cls in MESSAGES.values())


def test_kinds_are_names_of_classes() -> None:
    """Catches two messages of one kind, and a kind that names another class."""
    assert len(MESSAGES) == len(HANDSHAKE) + len(ENVELOPED)
    for kind, cls in MESSAGES.items():
        assert kind == cls.KIND
        assert kind == re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    assert set(HANDSHAKE_MESSAGES.values()) == set(HANDSHAKE)
    assert len(ENVELOPED) == len(set(ENVELOPED))


def test_no_class_is_left_out() -> None:
    """Catches a message that is declared and never listed."""
    declared = {
        cls
        for module in (messages, night_messages, parts)
        for cls in vars(module).values()
        if isinstance(cls, type) and attrs.has(cls) and cls.__module__ == module.__name__
    }
    assert declared == set(CLASSES)


def test_byte_strings_are_shown_in_short() -> None:
    """Catches a log line with a megabyte in it."""
    assert repr(OutpointRef(bytes(32), 0)) == f"OutpointRef(txid={'00' * 8}, index=0)"
    candidate = LockedCandidate(bytes(1 << 17), GOOD["certificate"])
    assert len(repr(candidate)) < 300
