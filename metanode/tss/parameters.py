"""Sizes of the threshold-ECDSA engine: one preset per statistical security level.

Everything that two parties must agree on before the first byte is here; the preset's name and
numbers enter every session id, so that parties with different presets never share a session.
"""

from __future__ import annotations

from attrs import frozen

SUITE = b"metanode/dkls23/secp256k1/v3"
"""Name of the protocol and its version; enters every session id.

v2: one digest over all GGM trees of a pair where v1 had one for each. v3: the session id of a
signing run binds the list of public shares; what a session draws binds share and session; 128 base
transfers in place of 256; t̃ as one hash; AES under a fixed key for leaves and rows, seeds of 16
bytes; base transfers one way, the other way by extension, with a direct message in round 4.
"""

SCALAR_BYTES = 32
"""Length of a scalar modulo the group order, big-endian (SEC 1)."""
POINT_BYTES = 33
"""Length of a compressed point (SEC 1, 2.3.3)."""
HASH_BYTES = 32
"""Length of digests, session ids, salts and echoes."""
SEED_BYTES = 16
"""Length of GGM nodes and leaves: the block of the cipher that expands them."""
ZERO_SEED_BYTES = 32
"""Length of zero-sharing seeds."""
PROOF_BYTES = POINT_BYTES + SCALAR_BYTES
"""Length of a Schnorr proof R‖s."""

KAPPA_BITS = 256
"""Bits of the group order."""
BASE_OTS = 128
"""Computational security: base oblivious transfers per ordered pair (DKLs23, λ_c).

Bits of Δ. The group and all hashes give 128 bits; more than that here protects nothing (a public
audit of another DKLs23 library, 2024, appendix F, says the same).
"""
TREE_DEPTH = 2
"""SoftSpokenOT's k: base transfers folded into one GGM tree (Roy 2022)."""
TREES = BASE_OTS // TREE_DEPTH
LEAVES_PER_TREE = 1 << TREE_DEPTH
GGM_DIGEST_BYTES = 64
"""Length of a leaf's hash, of a sum of them and of their digest: the proof for GGM trees."""
CHECK_BITS = 128
"""Columns of the consistency check's random matrix (SoftSpokenOT, s)."""
CHECK_BYTES = CHECK_BITS // 8
INPUTS = 2
"""Alice's scalars per multiplication: her nonce share and her key share."""
ROW_SCALARS = INPUTS + 1
"""Scalars per transfer: the inputs and one check column."""

LANES = 8
"""Digests that one signing session signs at most.

A lane's masked rows are 48 KiB: eight of them make a message of 394 kB, which fits any frame and
any buffer here; more would share little more.
"""

BATCH_DIGESTS = 1024
"""Digests of one batch: session after session of ``LANES``, ``PARTS_AT_ONCE`` in flight."""
PARTS_AT_ONCE = 2
"""While one waits for messages the other one has work; more would only take memory."""

MIN_PARTIES = 2
MIN_THRESHOLD = 2
MAX_PARTIES = 255
"""More than the old and new holders of the largest roster: bounds what can be asked for."""


@frozen
class Parameters:
    """One preset. ``statistical_bits`` is λ_s; the choice vector has κ + 2·λ_s bits (DKLs23)."""

    name: str
    statistical_bits: int

    @property
    def choice_bits(self) -> int:
        """Length ξ of Bob's choice vector, in bits; a multiple of 8."""
        return KAPPA_BITS + 2 * self.statistical_bits

    @property
    def choice_bytes(self) -> int:
        """Length of the choice vector in bytes."""
        return self.choice_bits // 8

    def rows(self, lanes: int) -> int:
        """Return how many transfers a multiplication has in all lanes."""
        return lanes * self.choice_bits

    def encode(self) -> bytes:
        """Return the bytes that stand for this preset inside a session id."""
        numbers = (self.statistical_bits, BASE_OTS, TREE_DEPTH, CHECK_BITS, INPUTS)
        return self.name.encode("ascii") + b"".join(n.to_bytes(4, "big") for n in numbers)


STANDARD = Parameters(name="lambda-128", statistical_bits=128)
"""The default: statistical error 2^-128."""
