"""What is proved for every size, with which lemmas, and what must not be provable.

A control is a variant of a network from whose rows something is missing. With the very same lemmas
its proof must fail, at the obligations named here: a step that breaks a property in a state in
which all of them hold.
"""

from __future__ import annotations

from attrs import evolve, frozen

from model_checks.engines.induction import Induction, chosen
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.lemmas import (
    block_list as block_list_lemmas,
)
from model_checks.lemmas import (
    coordinator_rotation as coordinator_rotation_lemmas,
)
from model_checks.lemmas import (
    handshake_relay as handshake_relay_lemmas,
)
from model_checks.lemmas import (
    keygen_lock_in as keygen_lock_in_lemmas,
)
from model_checks.lemmas import (
    refund_against_payout as refund_against_payout_lemmas,
)
from model_checks.lemmas import (
    regroup_retry as regroup_retry_lemmas,
)
from model_checks.lemmas import (
    signing as signing_lemmas,
)
from model_checks.lemmas import (
    swap_settlement as swap_settlement_lemmas,
)
from model_checks.lemmas import (
    two_phase_commit as two_phase_commit_lemmas,
)
from model_checks.networks import (
    block_list,
    coordinator_rotation,
    event_status,
    handshake_relay,
    keygen_lock_in,
    link_duplicates,
    refund_against_payout,
    regroup_retry,
    signing,
    swap_settlement,
    two_phase_commit,
)
from model_checks.system import Network, Property, close


@frozen
class ProofCase:
    """A network with its lemmas; ``proves`` names the invariants, none stands for all of them."""

    network: Network
    lemmas: tuple[Property, ...] = ()
    proves: tuple[str, ...] = ()
    obligations: int = 0
    fails: tuple[str, ...] = ()
    """Of a control: the obligations that must fail, and no others."""
    steps: int = ATTEMPT_STEPS
    """z3's budget for one attempt at one obligation: enough for several of its seeds."""

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    def induction(self) -> Induction:
        """Return the obligations."""
        system = close(evolve(self.network, properties=(*self.network.properties, *self.lemmas)))
        return Induction(system, chosen(system, self.proves), self.steps)


_SIGNING = (signing_lemmas.LEMMAS, signing_lemmas.PROVES)

PROOFS = (
    ProofCase(two_phase_commit.NETWORK, two_phase_commit_lemmas.LEMMAS, obligations=64),
    ProofCase(signing.NETWORK, *_SIGNING, obligations=70, steps=2 * ATTEMPT_STEPS),
    ProofCase(refund_against_payout.NETWORK, refund_against_payout_lemmas.LEMMAS, obligations=95),
    ProofCase(event_status.NETWORK, obligations=19),
    ProofCase(
        regroup_retry.NETWORK,
        regroup_retry_lemmas.LEMMAS,
        regroup_retry_lemmas.PROVES,
        obligations=136,
        steps=4 * ATTEMPT_STEPS,
    ),
    ProofCase(keygen_lock_in.NETWORK, keygen_lock_in_lemmas.LEMMAS, obligations=72),
    ProofCase(swap_settlement.NETWORK, swap_settlement_lemmas.LEMMAS, obligations=85),
    ProofCase(link_duplicates.NETWORK, obligations=14),
    ProofCase(handshake_relay.NETWORK, handshake_relay_lemmas.LEMMAS, obligations=100),
    ProofCase(block_list.NETWORK, block_list_lemmas.LEMMAS, obligations=30),
    ProofCase(coordinator_rotation.NETWORK, coordinator_rotation_lemmas.LEMMAS, obligations=51),
)
"""Every one of them must be proved by both solvers."""


CONTROLS = (
    ProofCase(
        signing.NAIVE_RETRY,
        *_SIGNING,
        fails=(
            "NewerCertificateFences / session.Ack",
            "LaterVoteFences / session.Ack",
            "NewerCertificateFences / peer.SetFound",
            "LaterVoteFences / peer.SetFound",
        ),
    ),
    ProofCase(
        signing.NO_LOCK,
        *_SIGNING,
        fails=(
            "NewerCertificateFences / session.Ack",
            "LaterVoteFences / session.Ack",
            "ReleaseWasLocked / session.Begin",
            "NewerCertificateFences / session.Begin",
            "MovedLockFences / session.Begin",
            "LaterVoteFences / session.Begin",
            "NewerCertificateFences / peer.SetFound",
            "LaterVoteFences / peer.SetFound",
            "ReleaseWasLocked / peer.Certified",
            "NewerCertificateFences / peer.Certified",
            "MovedLockFences / peer.Certified",
            "LaterVoteFences / peer.Certified",
        ),
    ),
    ProofCase(
        signing.LATER_VOTE_FORGOTTEN,
        *_SIGNING,
        fails=(
            "NewerCertificateFences / session.Begin",
            "MovedLockFences / session.Begin",
            "LaterVoteFences / session.Begin",
            "NewerCertificateFences / peer.Certified",
            "MovedLockFences / peer.Certified",
            "LaterVoteFences / peer.Certified",
        ),
    ),
    ProofCase(signing.LOCK_IN_MEMORY, *_SIGNING, fails=("ReleaseWasLocked / Crash",)),
    ProofCase(
        refund_against_payout.OWN_WORD,
        refund_against_payout_lemmas.LEMMAS,
        fails=(
            "NoPayAndRefund / session.Release",
            "NoPayAndRefund / event.Expire",
        ),
    ),
    ProofCase(
        keygen_lock_in.ENDS_LOCALLY,
        keygen_lock_in_lemmas.LEMMAS,
        fails=(
            "CertifiedByAll / keygen.Certify",
            "LockInAgreement / keygen.LockIn",
            "LockedInIsSigned / keygen.LockIn",
        ),
    ),
    ProofCase(
        keygen_lock_in.LOCK_IN_UNSIGNED,
        keygen_lock_in_lemmas.LEMMAS,
        fails=(
            "LockInAgreement / keygen.LockIn",
            "LockedInIsSigned / keygen.LockIn",
        ),
    ),
    ProofCase(
        swap_settlement.OTHER_COINS,
        swap_settlement_lemmas.LEMMAS,
        fails=(
            "RefundHasNone / swap.Deposit#4",
            "RefundHasNone / swap.Deposit#5",
            "RefundHasNone / swap.Deposit#6",
        ),
    ),
    ProofCase(
        block_list.SILENCE_IS_GUILT,
        block_list_lemmas.LEMMAS,
        fails=(
            "BlockNeedsProof / block_list.Block",
            "HonestTogether / block_list.Block",
            "BlockNeedsProof / block_list.Block#2",
            "HonestTogether / block_list.Block#2",
        ),
    ),
    ProofCase(
        block_list.WORD_IS_ENOUGH,
        block_list_lemmas.LEMMAS,
        fails=(
            "BlockNeedsProof / block_list.Block",
            "HonestTogether / block_list.Block",
            "BlockNeedsProof / block_list.Block#2",
            "HonestTogether / block_list.Block#2",
        ),
    ),
)
"""None of them may be proved."""
