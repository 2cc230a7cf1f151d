"""Codes of states: exact, the same counts as without them, and given up where numbers run out."""

from __future__ import annotations

import numpy as np
import pytest

from model_checks.engines import codes
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance, Result
from model_checks.models import keygen_lock_in, signing
from model_checks.system import close
from tests.model_checks.random_systems import CONSTANTS, SIZES, random_system

SIGNING = Instance(
    close(signing.EAGER_LIARS),
    {"Peer": 3, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1},
    {"N": 3, "F": 1, "T": 2},
)


def told(result: Result) -> tuple[int, int, int, dict[str, int], dict[str, int]]:
    """Return counts, and the lengths of all traces."""
    violated = {name: len(steps) for name, steps in result.violated.items()}
    reached = {name: len(steps) for name, steps in result.reached.items()}
    return result.distinct, result.generated, result.depth, violated, reached


def without_codes(
    instance: Instance, symmetry: tuple[str, ...], patch: pytest.MonkeyPatch
) -> Explicit:
    """Return a search of the states as they are."""
    with patch.context() as inside:
        inside.setattr(codes, "MAX_RECORD_BITS", 0)
        search = Explicit(instance, symmetry)
    assert search.codes is None
    return search


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("symmetry", [("Peer",), ("Digest",), ("Peer", "Digest")])
def test_the_same_with_and_without(
    seed: int, symmetry: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a record with two numbers, a rest that is lost, a write to another peer's record."""
    instance = Instance(random_system(seed), {**SIZES, "Digest": 3}, CONSTANTS)
    search = Explicit(instance, symmetry)
    assert search.codes is not None
    plain = without_codes(instance, symmetry, monkeypatch)
    assert told(search.explore()) == told(plain.explore())


@pytest.mark.parametrize("symmetry", [(), ("Peer",), ("Peer", "Digest")])
def test_networks_of_several_words(
    symmetry: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a number that runs into its neighbour's bits, in states without other cells."""
    sizes = {**SIGNING.sizes, "Attempt": 3, "Peer": 4}
    instance = Instance(SIGNING.system, sizes, {"N": 4, "F": 1, "T": 3})
    until = ("CanSign", "LiarsDecide")
    coded = Explicit(instance, symmetry)
    assert coded.layout.words == 2
    result = coded.explore(until=until)
    assert result.collision == 0.0
    plain = without_codes(instance, symmetry, monkeypatch).explore(until=until)
    assert plain.collision > 0.0 or symmetry
    assert told(result) == told(plain)


def test_codes_are_one_to_one() -> None:
    """Catches two states with one code: decoded, every state is itself again."""
    keys = {"Peer": 3, "Key": 2}
    instance = Instance(close(keygen_lock_in.NETWORK), keys, {"N": 3, "F": 1, "T": 2})
    search = Explicit(instance, ("Peer",))
    result = search.explore()
    assert search.codes is not None
    assert search.codes.rests
    states = np.concatenate(search.levels, axis=1)
    assert len(np.unique(search.codes.encode(states))) == result.distinct
    assert (search.codes.decode(search.codes.encode(states)) == states).all()
    assert (search.canonical(states) == states).all()


def test_numbers_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a search that goes on with wrong numbers, or counts its first part twice."""
    usual = Explicit(SIGNING, ("Peer", "Digest")).explore()
    monkeypatch.setattr(codes, "NUMBER_BITS", range(3, 5))
    search = Explicit(SIGNING, ("Peer", "Digest"))
    assert search.codes is not None
    assert told(search.explore()) == told(usual)
    assert search.codes is None
