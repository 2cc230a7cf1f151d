"""The chains that a daemon can follow, by the first part of their addresses.

Sources: the chain parameters of Bitcoin Core and of Litecoin (kernel/chainparams.cpp); the genesis
block tells one chain from another, whatever a daemon calls it.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class KnownChain:
    """A chain of the Bitcoin family: its name for an operator, and the id of its first block."""

    name: str
    genesis: bytes


def _chain(name: str, genesis: str) -> KnownChain:
    return KnownChain(name, bytes.fromhex(genesis))


TEST_PREFIXES = ("bcrt", "rltc")
"""Prefixes of chains that anybody may found: their first block says nothing, nor does their age."""

KNOWN: Mapping[str, tuple[KnownChain, ...]] = {
    "bc": (_chain(
        "Bitcoin", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    ),),
    "tb": (
        _chain("Bitcoin testnet3",
               "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
        _chain("Bitcoin testnet4",
               "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
        _chain("Bitcoin signet",
               "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
    ),
    "ltc": (_chain(
        "Litecoin", "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"
    ),),
    "tltc": (_chain(
        "Litecoin testnet", "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"
    ),),
}
"""Address prefix → the chains that have it."""


def name_of(genesis: bytes) -> str:
    """Return the name of a chain by its first block, or that block's id in short."""
    chains = (chain for chains in KNOWN.values() for chain in chains)
    found = next((chain.name for chain in chains if chain.genesis == genesis), None)
    return found or f"a chain whose first block is {genesis.hex()[:16]}..."
