"""Threshold ECDSA on secp256k1 after DKLs23 (ePrint 2023/765), sans-IO.

Entry points: :class:`metanode.tss.keygen.KeygenSession`, :class:`metanode.tss.sign.SignSession`,
:class:`metanode.tss.refresh.RefreshSession`, :class:`metanode.tss.reshare.ReshareSession`,
:mod:`metanode.tss.proofs` and :mod:`metanode.tss.verify`. The composition has neither a
security proof nor an audit. No clock, no randomness and no sockets: entropy is an argument.
``README.md`` says for every operation on a secret whether it is constant time.
"""
