"""Threshold ECDSA on secp256k1 after DKLs23 (ePrint 2023/765), sans-IO.

The names below are the library; ``USAGE.md`` shows them at work, ``PROTOCOL.md`` lists every
message and ``README.md`` has the rules of their use, what they assume, and for every operation on
a secret whether it is constant time. The composition has neither a security proof nor an audit.
No clock, no randomness and no sockets: entropy is an argument. Names are loaded when they are
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanode.tss.abort import Abort, AbortKind, Evidence
    from metanode.tss.batch import BatchSignSession
    from metanode.tss.evidence import proves
    from metanode.tss.keygen import KeygenSession
    from metanode.tss.keyshare import Keyshare, PublicPackage, confirmation_digest
    from metanode.tss.lane import Signature, tweaked_key
    from metanode.tss.messages import Message
    from metanode.tss.proofs import prove_share, verify_share
    from metanode.tss.refresh import RefreshSession
    from metanode.tss.reshare import ReshareSession
    from metanode.tss.sign import SignSession
    from metanode.tss.verify import verify_compact, verify_signature

__all__ = [
    "Abort",
    "AbortKind",
    "BatchSignSession",
    "Evidence",
    "KeygenSession",
    "Keyshare",
    "Message",
    "PublicPackage",
    "RefreshSession",
    "ReshareSession",
    "SignSession",
    "Signature",
    "confirmation_digest",
    "prove_share",
    "proves",
    "tweaked_key",
    "verify_compact",
    "verify_share",
    "verify_signature",
]

_HOMES = {
    "abort": ("Abort", "AbortKind", "Evidence"),
    "batch": ("BatchSignSession",),
    "evidence": ("proves",),
    "keygen": ("KeygenSession",),
    "keyshare": ("Keyshare", "PublicPackage", "confirmation_digest"),
    "lane": ("Signature", "tweaked_key"),
    "messages": ("Message",),
    "proofs": ("prove_share", "verify_share"),
    "refresh": ("RefreshSession",),
    "reshare": ("ReshareSession",),
    "sign": ("SignSession",),
    "verify": ("verify_compact", "verify_signature"),
}


if not TYPE_CHECKING:  # a type checker sees the imports above, and what is not there as missing

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
