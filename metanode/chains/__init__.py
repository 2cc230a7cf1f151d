"""Chains: the adapter interface, the Bitcoin-family adapter, and the embedded devnet chain."""
