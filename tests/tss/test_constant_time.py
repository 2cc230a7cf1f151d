"""The page on constant time holds: which call meets which secret, read from code and from runs."""

from __future__ import annotations

import ast
import hmac
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.tss import curve
from tests.tss.support import (
    deal,
    deliver,
    digests_of,
    keygen_sessions,
    lanes_sessions,
    refresh_sessions,
    reshare_sessions,
    sign_sessions,
)

PACKAGE = Path(curve.__file__).parent
TREES = {path.stem: ast.parse(path.read_text()) for path in sorted(PACKAGE.glob("*.py"))}
PAGE = (PACKAGE / "README.md").read_text()

PUBLIC_ONLY = {
    "public_mult": {
        ("curve", "evaluate_commitments", "x, value"),
        ("feldman", "value_at", "x, value"),
        ("keyshare", "_combined", "weight, point"),
        ("proofs", "verify", "-oracle.scalar(tag, context, public, head), point"),
        ("reshare", "deals_right_constant", "self.weight(dealer), share"),
        ("verify", "recovery_id", "r * inverse % curve.ORDER, key"),
    },
    "evaluate_commitments": {("feldman", "value_at", "self.points, x")},
    "inverse": {
        ("curve", "lagrange_at_zero", "denominator"),
        ("lane", "assemble", "total_u"),
        ("lane", "take_key_part", "signers"),
        ("verify", "recovery_id", "s"),
    },
    "lagrange_at_zero": {
        ("keyshare", "_combined", "party, chosen"),
        ("reshare", "weight", "self._old_index[dealer], self._old_index.values()"),
        ("sign", "_answer", "self._party, self._parties"),
    },
    "combine": {
        ("curve", "evaluate_commitments", "[scaled, commitment]"),
        ("curve", "offset_generator", "[generator_mult(scalar), point]"),
        ("dealing_run", "public_share", "terms"),
        ("feldman", "total", "terms"),
        ("keyshare", "_combined", "points"),
        ("proofs", "verify", "[curve.generator_mult(response), scaled]"),
        ("lane", "sum_points", "[self.key_point, *key_points]"),
        ("lane", "sum_points", "[self.nonce_point, *nonce_points]"),
        ("verify", "recovery_id", "[part for part in parts if part is not None]"),
    },
    "negate": set(),
}
"""Where a variable-time operation may stand, and with what: each argument is on the wire, or the
page says why its timing does not matter."""

VARIABLE_TIME_CALLS = {
    "secp256k1_ec_pubkey_tweak_mul": {"public_mult"},
    "secp256k1_ec_pubkey_combine": {"combine", "masked_generator", "masked_ecdh"},
    "secp256k1_ec_pubkey_negate": {"negate", "masked_generator"},
    "secp256k1_ellswift_decode": {"decode_ellswift", "_load_mask"},
    "secp256k1_ec_pubkey_parse": {"parse_point", "random_point", "masked_ecdh"},
    "secp256k1_ec_pubkey_serialize": {"encode_point", "affine", "masked_generator"},
    "secp256k1_ecdsa_verify": {"ecdsa_accepts"},
    "secp256k1_ecdsa_signature_parse_compact": {"ecdsa_accepts"},
}
CONSTANT_TIME_CALLS = {
    "secp256k1_ec_pubkey_create": {"generator_mult", "masked_generator"},
    "secp256k1_ecdh": {"ecdh"},
    "secp256k1_ec_seckey_tweak_mul": {"multiply"},
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call with the name of the innermost function around it."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.Call):
                yield inner, child
            yield from walk(child, inner)

    return walk(tree, "")


def name_of(call: ast.Call) -> str:
    """Return the last part of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@pytest.mark.parametrize("name", PUBLIC_ONLY)
def test_variable_time_operations_stand_where_all_is_public(name: str) -> None:
    """Catches a new use of a variable-time operation: decide first whether its input is public."""
    found = {
        (module, function, ", ".join(map(ast.unparse, call.args)))
        for module, tree in TREES.items()
        for function, call in calls(tree)
        if name_of(call) == name
    }
    assert found == PUBLIC_ONLY[name]


def test_the_library_is_called_in_one_module_and_as_the_page_says() -> None:
    """Catches a call of libsecp256k1 elsewhere, a new one, or one whose kind nobody stated."""
    found: dict[str, set[str]] = {}
    for function, call in calls(TREES["curve"]):
        if ast.unparse(call.func).startswith("lib."):
            found.setdefault(name_of(call), set()).add(function)
    assert found == {**VARIABLE_TIME_CALLS, **CONSTANT_TIME_CALLS}
    importing = {
        (module, root)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for root in imported(node) & {"coincurve", "fastecdsa", "cryptography", "ecdsa", "btclib"}
    }
    assert importing == {
        ("curve", "coincurve"),
        ("fixed_key", "cryptography"),
        ("verify", "fastecdsa"),
    }


def imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return the top-level packages that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names}


def is_size(node: ast.expr) -> bool:
    """Return whether an operand is a literal, a constant by its spelling, or made of such."""
    if isinstance(node, ast.BinOp):
        return is_size(node.left) and is_size(node.right)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def test_secrets_are_multiplied_by_the_library_only() -> None:
    """Catches a product of Python integers in the modules that hold scalars."""
    modules = (
        *("dealing", "feldman", "keygen", "multiplication", "pair_setup", "proofs", "refresh"),
        *("reshare", "session", "sign", "lane", "public_run", "dealing_run", "sign_run"),
    )
    products = {
        (module, ast.unparse(node))
        for module in modules
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Pow)
        and not (is_size(node.left) or is_size(node.right))
    }
    # s = Σw / Σu: both sums are public once round 3 is over.
    assert products == {("lane", "total_w * curve.inverse(total_u)")}


def test_every_function_of_the_curve_has_its_row() -> None:
    """Catches a function that is added, or renamed, without saying what it does with secrets."""
    functions = {
        node.name
        for node in ast.walk(TREES["curve"])
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    named = set(re.findall(r"`([a-z_0-9]+)`", PAGE))
    assert functions <= named
    mentioned = set(re.findall(r"secp256k1_[a-z_]+", PAGE))
    assert set(CONSTANT_TIME_CALLS) <= mentioned <= {*CONSTANT_TIME_CALLS, *VARIABLE_TIME_CALLS}


TWEAK = 5**70
RUNS: dict[str, Callable[[], Any]] = {
    "keygen": lambda: keygen_sessions(2, 3),
    "refresh": lambda: refresh_sessions(deal(2, 3)),
    "reshare": lambda: reshare_sessions(deal(2, 3), [1, 2], [2, 3], 2),
    "sign": lambda: sign_sessions(deal(3, 3), (1, 2, 3), tweak=TWEAK),
    "lanes": lambda: lanes_sessions(deal(3, 3), (1, 2, 3), digests_of(2), tweaks=(TWEAK, 0)),
}


@pytest.mark.parametrize("protocol", RUNS)
def test_no_secret_reaches_a_variable_time_operation(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches, in a run, a scalar that the constant-time calls see as a secret and others see too.

    Responses of proofs and the tweak are public and meet constant-time calls, too; zero is where
    Horner's rule begins.
    """
    secret: set[int] = set()
    public: set[int] = set()

    def spy(name: str, seen: set[int]) -> None:
        original = getattr(curve, name)

        def watched(scalar: int, *rest: Any) -> Any:
            if sys._getframe(1).f_code.co_name != "verify":
                seen.add(scalar % curve.ORDER)
            elif name == "public_mult":
                public.add(scalar % curve.ORDER)
            return original(scalar, *rest)

        monkeypatch.setattr(curve, name, watched)

    for name in ("generator_mult", "ecdh", "multiply", "secret_mult_equals"):
        spy(name, secret)
    for name in ("public_mult", "inverse"):
        spy(name, public)
    sessions = RUNS[protocol]()
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"finished"}
    secret -= {0, TWEAK}
    assert len(secret) >= 6
    assert public
    assert not secret & public


def test_secret_comparisons_are_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a check of something secret by ``==``: these places compare, and no others do."""
    places = set()
    original = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        frame = sys._getframe(1)
        places.add((Path(frame.f_code.co_filename).stem, frame.f_code.co_name))
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    deliver(keygen_sessions(2, 2))
    deliver(sign_sessions(deal(2, 2), (1, 2)))
    assert places == {
        ("curve", "secret_mult_equals"),
        ("dealing_run", "chain_opening_holds"),
        ("dealing_run", "opened"),
        ("ggm", "evaluate_trees"),
        ("multiplication", "bob_finish"),
        ("ot_extension", "extend_sender"),
        ("pair_setup", "zero_opening_holds"),
        ("sign_run", "opening_fault"),
    }
