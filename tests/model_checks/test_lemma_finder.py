"""The lemma finder proves safety without a written lemma, and never keeps what is not proved."""

from __future__ import annotations

from attrs import evolve

from model_checks.engines.induction import Induction
from model_checks.engines.lemma_finder import Found, Houdini, Templates, find_lemmas, sample
from model_checks.engines.oracle import Instance, Oracle
from model_checks.networks import signing, two_phase_commit
from model_checks.system import Network, Property, close

SIGNING = {"Peer": 4, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1}


def proved(network: Network, target: str, found: Found) -> bool:
    """Return whether both solvers prove the target with what was found."""
    properties = tuple(p for p in network.properties if p.name == target)
    system = close(evolve(network, properties=(*properties, *found.lemmas)))
    return Induction(system).prove(examples=False).holds


def test_two_phase_commit_agrees_without_a_written_lemma() -> None:
    """Catches templates, a filter or a subsumption that loses the lemmas that matter."""
    found = find_lemmas(
        two_phase_commit.NETWORK, Templates({"x": "Manager"}), {"Manager": 3}, {}, ("Consistent",)
    )
    assert (found.clauses, found.true_in_samples, found.not_subsumed) == (2048, 714, 72)
    assert 5 <= len(found.lemmas) <= found.inductive - 1
    assert proved(two_phase_commit.NETWORK, "Consistent", found)


def test_certificates_are_unique_without_a_written_lemma() -> None:
    """Catches a finder that cannot see why two certificates of one attempt agree: for every n."""
    found = find_lemmas(
        signing.NETWORK,
        Templates({"x": "Peer", "e1": "Event", "a1": "Attempt", "d1": "Digest"}),
        SIGNING,
        {"N": 4, "T": 3, "F": 1},
        ("CertificateUnique",),
        states=150,
    )
    assert found.lemmas
    assert any("vote[" in lemma.text and "faulty[x]" in lemma.text for lemma in found.lemmas)
    assert proved(signing.NETWORK, "CertificateUnique", found)


def test_what_the_templates_cannot_say_is_not_found() -> None:
    """Catches a target that is called proved because nothing spoke against it."""
    found = find_lemmas(
        two_phase_commit.NETWORK,
        Templates({"x": "Manager"}, literals=1),
        {"Manager": 2},
        {},
        ("Consistent",),
    )
    assert found.lemmas == ()


def test_houdini_drops_what_is_not_inductive() -> None:
    """Catches a false lemma that stays because its neighbours hold it up."""
    system = close(
        evolve(
            two_phase_commit.NETWORK,
            properties=(
                Property("False0", "not said_abort", "lemma"),
                Property("False1", "decision != decided_abort", "lemma"),
                Property("True2", "implies(said_commit, decision == decided_commit)", "lemma"),
                Property("False3", "said_commit", "lemma"),
            ),
        )
    )
    assert Houdini(system).run() == {"True2"}


def test_the_sample_is_reachable() -> None:
    """Catches a filter that throws lemmas away for states that never occur."""
    instance = Instance(close(two_phase_commit.NETWORK), {"Manager": 3}, {})
    oracle = Oracle(instance)
    every = sample(oracle, 10_000)
    assert len(every) == 288
    assert set(sample(oracle, 50)) <= set(every)
