"""The homes of what the tables are told and of what they say: one for each, refused at import.

A core declares, on its own methods,

* ``@fact``: the provider of the given cell of this name, ``(core, index) → value``;
* ``@message("cell")``: the builder of what a network cell sends, ``(core, index) → message``, or a
  list of (recipient, message);
* ``@attachment("cell")``: what is stored beside a disk cell, ``(core, index) → object or None``;
* ``@handles("step")``: what tries the triggers of a step of ``spec/inputs.py`` for each individual;
* ``@admits("kind")``: what judges a message of this kind, ``(core, sender, message) → whether it
  counts``, before it is noted in its cell; it raises PeerFault for what must not have been sent.

A name with two homes is refused where the second one stands, and a name that does not exist too;
:func:`check_complete` refuses one without a home.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from metanode.errors import LocalFault
from spec import inputs, messages, safe_sign
from spec.inputs import INPUTS, STEPS
from spec.messages import ENVELOPED, HANDSHAKE, MESSAGE_OF_CELL
from spec.protocol import MODULES, PROTOCOL

FACT, MESSAGE, ATTACHMENT, STEP, ADMISSION = "fact", "message", "attachment", "step", "admission"
_MARK = "__homes__"
Method = TypeVar("Method", bound=Callable[..., Any])

HOMES: dict[tuple[str, str], str] = {}
"""Where each (kind, name) stands: ``file:line``."""


class Misdeclared(LocalFault):
    """A fact, message or step without a home, with two, or with one that does not fit it."""


def place_of(function: Callable[..., Any]) -> str:
    """Return file and line of a function, as an editor takes them."""
    code = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def fact(method: Method) -> Method:
    """Declare the provider of the given cell that has the method's name; the cell documents it."""
    name = method.__name__
    cell = PROTOCOL.cells.get(name)
    if cell is None or cell.kept != "given":
        raise Misdeclared(f"{place_of(method)}: fact {name}: spec has no given cell of this name")
    _check_arity(method, name, len(cell.index))
    method.__doc__ = cell.doc
    return _declare(FACT, name, method)


def message(cell: str) -> Callable[[Method], Method]:
    """Declare the builder of what a network cell sends."""

    def declare(method: Method) -> Method:
        if cell not in MESSAGE_OF_CELL:
            raise Misdeclared(f"{place_of(method)}: message {cell}: no network cell has this name")
        _check_arity(method, cell, len(PROTOCOL.cells[cell].index))
        method.__doc__ = method.__doc__ or PROTOCOL.cells[cell].doc
        return _declare(MESSAGE, cell, method)

    return declare


def attachment(cell: str) -> Callable[[Method], Method]:
    """Declare what is stored beside a disk cell."""

    def declare(method: Method) -> Method:
        found = PROTOCOL.cells.get(cell)
        if found is None or found.kept != "disk":
            raise Misdeclared(f"{place_of(method)}: attachment {cell}: no disk cell has this name")
        _check_arity(method, cell, len(found.index))
        method.__doc__ = method.__doc__ or found.doc
        return _declare(ATTACHMENT, cell, method)

    return declare


def handles(step: str) -> Callable[[Method], Method]:
    """Declare what tries the triggers of a step."""

    def declare(method: Method) -> Method:
        if step not in STEPS:
            raise Misdeclared(f"{place_of(method)}: step {step}: spec/inputs.py has no such step")
        method.__doc__ = method.__doc__ or STEPS[step].meaning
        return _declare(STEP, step, method)

    return declare


def admits(kind: str) -> Callable[[Method], Method]:
    """Declare what judges a message of a kind."""

    def declare(method: Method) -> Method:
        if kind not in INPUTS:
            raise Misdeclared(f"{place_of(method)}: admission {kind}: there is no such input")
        return _declare(ADMISSION, kind, method)

    return declare


def homes_in(core: object) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield kind, name and bound method of everything that a core's class declares."""
    declaring: Any = type(core)
    for kind, name, attribute in _declared_by(declaring):
        yield kind, name, getattr(core, attribute)


@cache
def _declared_by(core: type) -> tuple[tuple[str, str, str], ...]:
    names = {name for cls in core.__mro__ for name in vars(cls)}
    return tuple(
        (kind, name, attribute)
        for attribute in sorted(names)
        for kind, name in getattr(getattr(core, attribute), _MARK, ())
    )


def wanted() -> set[tuple[str, str]]:
    """Return each (kind, name) that must have a home before a node starts."""
    found = {(FACT, c.name) for c in PROTOCOL.cells.values() if c.kept == "given"}
    found |= {(MESSAGE, cell) for cell in MESSAGE_OF_CELL}
    found |= {(STEP, name) for name in STEPS}
    return found | {(ADMISSION, vars(cls)["KIND"]) for cls in (*HANDSHAKE, *ENVELOPED)}


def check_complete() -> None:
    """Refuse a given cell, a message, a step or a kind of message that has no home."""
    missing = sorted(wanted() - HOMES.keys())
    if missing:
        kind, name = missing[0]
        raise Misdeclared(f"{_declared(kind, name)}: {kind} {name}: nothing in the node has it")


def _declare(kind: str, name: str, method: Method) -> Method:
    here, there = place_of(method), HOMES.get((kind, name))
    if there is not None and there != here:
        raise Misdeclared(f"{here}: {kind} {name} has a home already: {there}")
    HOMES[kind, name] = here
    setattr(method, _MARK, (*getattr(method, _MARK, ()), (kind, name)))
    return method


def _check_arity(method: Callable[..., Any], name: str, indices: int) -> None:
    taken = method.__code__.co_argcount - 1
    if taken != indices:
        raise Misdeclared(
            f"{place_of(method)}: {name} has {indices} indices, the method takes {taken}"
        )


def _declared(kind: str, name: str) -> str:
    """Return file and line at which spec declares a name: looked up only to be shown."""
    text = {STEP: f'step("{name}"', ADMISSION: f'KIND: ClassVar[str] = "{name}"'}.get(
        kind, f'Cell("{name}"'
    )
    for module in (safe_sign, inputs, messages, *MODULES):
        lines, _ = inspect.getsourcelines(module)
        for number, line in enumerate(lines, start=1):
            if text in line:
                return f"{module.__file__}:{number}"
    return "spec"
