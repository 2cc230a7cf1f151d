"""BIP-324: the decoding of ElligatorSwift keys, which the engine's hash to the curve is made of."""

from __future__ import annotations

from metanode.tss import curve
from tests.spec.vectors.support import load

CASES = load("bip324_ellswift.json")["cases"]


def test_decoding() -> None:
    """Catches another map than the standard's, in x or in the sign of y."""
    for case in CASES:
        data = bytes.fromhex(case["ellswift"])
        x, y = curve.affine(curve.decode_ellswift(data))
        assert x.to_bytes(32, "big").hex() == case["x"], case["comment"]
        t = int.from_bytes(data[32:], "big") % (2**256 - 2**32 - 977)
        assert y % 2 == t % 2, case["comment"]


def test_each_branch_is_taken() -> None:
    """Catches the loss of the rows that take a rare branch."""
    comments = {part for case in CASES for part in case["comment"].split(";")}
    assert {f"valid_x(x{i})" for i in (1, 2, 3)} <= comments
    assert {"u%p=0", "t%p=0", "u>=p", "t>=p", "(u'^3+t'^2+7)%p=0"} <= comments
