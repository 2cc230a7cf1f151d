"""Why no correct peer is ever blocked, for every n: F-06."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "OnlyLiarsConflict",
        "all(implies(conflicting[q], faulty[q]) for q in Peer)",
        "lemma",
        "a correct peer signs one body",
    ),
)
