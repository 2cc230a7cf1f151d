"""The edge cases of our own, at the release verifier and at each of its libraries alone."""

from __future__ import annotations

from typing import Any

from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point

from metanode.tss import curve
from metanode.tss.verify import verify_compact, verify_signature
from tests.spec.vectors.der import verify_der
from tests.spec.vectors.support import DIRECTORY, load
from tools.vectors import __main__ as generator

CASES = load("ecdsa_edge_cases.json")["cases"]


def octets(case: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """Return key, digest and signature."""
    key, digest, signature = (
        bytes.fromhex(case[field]) for field in ("public_key", "digest", "signature")
    )
    return key, digest, signature


def test_the_file_is_what_the_formulas_give() -> None:
    """Catches an edit by hand, and a generator that was changed without writing the file."""
    assert (DIRECTORY / "ecdsa_edge_cases.json").read_text() == generator.edge_cases()


def test_the_release_rule() -> None:
    """Catches every wrong acceptance and refusal that the cases are about."""
    wrong = []
    for case in CASES:
        verify = {"der": verify_der, "compact": verify_compact}[case["form"]]
        if verify(*octets(case)) is not case["valid"]:
            wrong.append(case["name"])
    assert wrong == []


def test_numbers_come_to_the_same_as_their_forms() -> None:
    """Catches a rule that lives in a parser only: numbers reach the release without one."""
    for case in CASES:
        key, digest, signature = octets(case)
        if case["form"] == "compact" and len(signature) == 64:
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            assert verify_signature(key, digest, r, s) is case["valid"], case["name"]


def test_names_are_unique_and_groups_complete() -> None:
    """Catches cases that got lost, and two that cannot be told apart."""
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)
    groups = {name.split(",")[0].split(" ")[0] for name in names}
    assert groups == {
        "ordinary", "range", "infinity", "wrap", "low", "high", "sum", "digest", "key", "der",
        "compact",
    }
    assert sum(case["valid"] for case in CASES) == 80


def test_why_two_libraries() -> None:
    """Catches a fault that was mended or that is new, in a library: the reason for two of them."""
    accepted = {"libsecp256k1": set[str](), "fastecdsa": set[str]()}
    for case in CASES:
        key, digest, signature = octets(case)
        point = curve.parse_point(key)
        if case["valid"] or case["form"] != "compact" or point is None:
            continue
        if len(signature) != 64 or len(digest) != 32:
            continue
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        if curve.ecdsa_accepts(point, digest, r, s):
            accepted["libsecp256k1"].add(case["name"])
        where = Point(*curve.affine(point), secp256k1)
        if ecdsa.verify((r, s), digest, where, secp256k1, prehashed=True):
            accepted["fastecdsa"].add(case["name"])
    high_s = {name for name in accepted["fastecdsa"] if "high s" in name or "s=n-1" in name}
    assert len(high_s) == 4, "fastecdsa began to refuse high s"
    assert accepted["libsecp256k1"] == set()
    assert accepted["fastecdsa"] - high_s == {
        *(f"infinity, s={s}, compact" for s in ("1", "2", "(n-1)/2", "low")),
        *(f"wrap, r=p-n+{x}, compact" for x in (1, 2, 3)),
    }
