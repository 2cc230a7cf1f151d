"""The models: one file a subject, each read from top to bottom.

A file has the network, the variants that must fail, the lemmas of its proof, and ``MODEL``: at
which sizes each network is explored, what must come of it, and what is proved for every size.
"""

from __future__ import annotations

from model_checks.models import (
    announcements,
    block_list,
    cooldown,
    coordinator_rotation,
    event_rules,
    event_status,
    handshake_relay,
    hearing_rules,
    keygen_lock_in,
    link_duplicates,
    link_rules,
    night_sealed,
    night_seats,
    payout_ends,
    payout_windows,
    refund_against_payout,
    regroup_complaints,
    regroup_epochs,
    regroup_handover,
    regroup_phase,
    regroup_retry,
    round_rules,
    session_end,
    session_rules,
    signing,
    signing_variants,
    swap_settlement,
    two_phase_commit,
)

MODELS = (
    two_phase_commit.MODEL,
    signing.MODEL,
    signing_variants.MODEL,
    event_status.MODEL,
    event_rules.MODEL,
    refund_against_payout.MODEL,
    keygen_lock_in.MODEL,
    regroup_handover.MODEL,
    regroup_epochs.MODEL,
    regroup_retry.MODEL,
    regroup_complaints.MODEL,
    announcements.MODEL,
    night_seats.MODEL,
    night_sealed.MODEL,
    regroup_phase.MODEL,
    link_duplicates.MODEL,
    link_rules.MODEL,
    handshake_relay.MODEL,
    block_list.MODEL,
    swap_settlement.MODEL,
    payout_ends.MODEL,
    payout_windows.MODEL,
    cooldown.MODEL,
    session_end.MODEL,
    session_rules.MODEL,
    round_rules.MODEL,
    hearing_rules.MODEL,
    coordinator_rotation.MODEL,
)
CASES = tuple(case for model in MODELS for case in model.cases)
"""What is explored, with its expected outcome."""
PROOFS = tuple(proof for model in MODELS for proof in model.proofs)
"""Every one of them must be proved by both solvers."""
CONTROLS = tuple(control for model in MODELS for control in model.controls)
"""None of them may be proved."""
NETWORKS = {case.network.name: case.network for case in CASES}
"""Every network by name, the variants included."""
