"""``spec/wire.cddl`` and ``spec/messages.py`` describe the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

import spec
from metanode.errors import Malformed
from metanode.protocol.wire.codec import MAX_DEPTH, MAX_ITEMS, Codec, encode_canonical
from metanode.protocol.wire.framing import AUTHENTICATED_LIMIT_BYTES, UNAUTHENTICATED_LIMIT_BYTES
from spec import messages, night_messages, parts
from spec.messages import ENVELOPED, HANDSHAKE, MESSAGES

GRAMMAR = Path(str(spec.__file__)).with_name("wire.cddl").read_text(encoding="utf-8")
CLASSES = [
    cls
    for module in (parts, messages, night_messages)
    for cls in vars(module).values()
    if isinstance(cls, type) and attrs.has(cls) and cls.__module__ == module.__name__
]


def rules() -> dict[str, str]:
    """Return the right side of each rule, without comments and line breaks."""
    text = re.sub(r"^;.*$", "", GRAMMAR, flags=re.MULTILINE)
    parts = re.split(r"^([\w-]+) =\s", text, flags=re.MULTILINE)[1:]
    names, sides = parts[::2], parts[1::2]
    assert len(names) == len(set(names)), "a rule is written twice"
    return {name: " ".join(side.split()) for name, side in zip(names, sides, strict=True)}


RULES = rules()


def rule_of(cls: type) -> str:
    """Return the name of a class's rule: ``SigningSet`` is ``signing-set``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


def fields_of(rule: str) -> dict[str, str]:
    """Return the fields of a map rule."""
    return dict(re.findall(r"(\w+): (.*?),(?= \w+:| })", RULES[rule]))


def samples(kind: str) -> tuple[list[Any], list[Any]]:
    """Return plain values that a type of the grammar just allows and just refuses."""
    if kind.startswith('"'):
        return [name.strip('"') for name in kind.split(" / ")], ["", "no name", b"ok", None]
    if kind.endswith(" / null"):
        good, bad = samples(kind.removesuffix(" / null"))
        return [*good, None], [each for each in bad if each is not None]
    if match := re.fullmatch(r"uint \.lt (\d+)", kind):
        return [0, int(match[1]) - 1], [int(match[1]), -1, True, "0", None]
    if match := re.fullmatch(r"bstr \.size (\d+)", kind):
        size = int(match[1])
        return [bytes(size)], [bytes(size - 1), bytes(size + 1), "x" * size, None]
    if match := re.fullmatch(r"bstr \.size \(0\.\.(\d+)\)", kind):
        return [b"", bytes(int(match[1]))], [bytes(int(match[1]) + 1), "", None]
    if match := re.fullmatch(r'tstr \.regexp "\.\{0,(\d+)\}"', kind):
        return ["", "é" * int(match[1])], ["x" * (int(match[1]) + 1), b"", None]
    if match := re.fullmatch(r"\[0\*(\d+) ([\w-]+)\]", kind):
        good, bad = samples(match[2])
        count = int(match[1])
        return [[], [good[0]] * count], [[good[0]] * (count + 1), *([each] for each in bad), None]
    if kind == "tstr":
        return [""], [b"", 1, None]
    if kind == "bool":
        return [True, False], [0, 1, None]
    if kind in RULES and RULES[kind].startswith("{"):
        return [{name: samples(each)[0][0] for name, each in fields_of(kind).items()}], [
            {},
            None,
            0,
        ]
    return samples(RULES[kind])


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_has_a_rule_with_its_fields(cls: type) -> None:
    """Catches a message or field that the grammar does not have, or has under another name."""
    assert list(fields_of(rule_of(cls))) == [each.name for each in attrs.fields(cls)]


def test_every_message_has_its_kind_and_its_place() -> None:
    """Catches a message that the grammar allows in the handshake, or not at all."""
    for choice, classes in (("handshake-message", HANDSHAKE), ("message", ENVELOPED)):
        assert RULES[choice].split(" / ") == [f"{rule_of(cls)}-message" for cls in classes]
    for kind, cls in MESSAGES.items():
        rule = rule_of(cls)
        assert RULES[f"{rule}-message"] == f'{{ b: {rule}, k: "{kind}" }}'


def test_every_rule_is_used_and_known() -> None:
    """Catches a leftover rule, and a name without a rule."""
    sides = [re.sub(r'(?<=[:/] )"\w+"', "", side) for side in RULES.values()]
    used = {name for side in sides for name in re.findall(r"(?<![\w.-])[a-z][\w-]*", side)}
    rules_needed = set(RULES) - {"frame"}
    assert rules_needed <= used
    fields = {name for cls in CLASSES for name in fields_of(rule_of(cls))}
    words = {"b", "k", "body", "sender", "uint", "bstr", "tstr", "bool", "null"}
    assert used - set(RULES) - fields - set(MESSAGES) <= words


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_bounds_of_the_grammar_are_those_of_the_classes(cls: type) -> None:
    """Catches a bound that differs: the largest value decodes, one more is malformed."""
    holder: Any = attrs.make_class("Holder", {"part": attrs.field(type=cls)}, frozen=True)
    holder.KIND = "holder"
    codec = Codec({"holder": holder})

    def payload(body: dict[str, Any]) -> bytes:
        return encode_canonical({"k": "holder", "b": {"part": body}})

    fields = fields_of(rule_of(cls))
    base = {name: samples(kind)[0][0] for name, kind in fields.items()}
    for name, kind in fields.items():
        good, bad = samples(kind)
        for value in good:
            encoded = payload({**base, name: value})
            assert codec.encode(codec.decode(encoded)) == encoded
        for value in bad:
            with pytest.raises(Malformed):
                codec.decode(payload({**base, name: value}))


def test_the_numbers_in_the_comments_are_those_of_the_code() -> None:
    """Catches prose that went stale."""
    prose = " ".join(GRAMMAR.replace(";", " ").split())
    assert f"Nesting is at most {MAX_DEPTH}" in prose
    assert f"at most {MAX_ITEMS} items" in prose
    assert f"1 to {UNAUTHENTICATED_LIMIT_BYTES} of them" in prose
    assert f"1 to {AUTHENTICATED_LIMIT_BYTES} after" in prose
