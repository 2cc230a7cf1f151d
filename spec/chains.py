"""The chains of Bitcoin's family, by the first part of their addresses: what differs between them.

Sources: ``chainparams.cpp`` and ``policy/policy.h`` of Bitcoin Core and of Litecoin. A genesis
block tells one chain from another, whatever a daemon calls it; test chains that anybody may found
have none here.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class Chain:
    """One chain: its name for an operator, and the 32-byte id of its first block."""

    name: str
    genesis: bytes


@frozen(kw_only=True)
class Family:
    """The chains that share an address prefix, and what all of them have in common.

    ``key_hash`` and ``script_hash`` are the version bytes of base58 addresses (P2PKH, P2SH);
    ``dust_rate`` is the rate, in base units per virtual byte, at which daemons find an output too
    small to be worth its own spending.
    """

    chains: tuple[Chain, ...] = ()
    key_hash: tuple[int, ...] = ()
    script_hash: tuple[int, ...] = ()
    dust_rate: int = 3


def _chain(name: str, genesis: str) -> Chain:
    return Chain(name, bytes.fromhex(genesis))


FAMILIES: Mapping[str, Family] = {
    "bc": Family(
        chains=(_chain(
            "Bitcoin", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        ),),
        key_hash=(0,), script_hash=(5,),
    ),
    "tb": Family(
        chains=(
            _chain("Bitcoin testnet3",
                   "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
            _chain("Bitcoin testnet4",
                   "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
            _chain("Bitcoin signet",
                   "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
        ),
        key_hash=(111,), script_hash=(196,),
    ),
    "bcrt": Family(key_hash=(111,), script_hash=(196,)),
    "ltc": Family(
        chains=(_chain(
            "Litecoin", "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"
        ),),
        key_hash=(48,), script_hash=(50, 5), dust_rate=30,
    ),
    "tltc": Family(
        chains=(_chain(
            "Litecoin testnet", "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"
        ),),
        key_hash=(111,), script_hash=(58, 196), dust_rate=30,
    ),
    "rltc": Family(key_hash=(111,), script_hash=(58, 196), dust_rate=30),
}
"""Address prefix → its chains."""


def family(hrp: str) -> Family:
    """Return what is known of an address prefix: for one that is not known, Bitcoin's rules."""
    return FAMILIES.get(hrp, Family())


def name_of(genesis: bytes) -> str:
    """Return the name of a chain by its first block, or that block's id in short."""
    chains = (chain for each in FAMILIES.values() for chain in each.chains)
    found = next((chain.name for chain in chains if chain.genesis == genesis), None)
    return found or f"a chain whose first block is {genesis.hex()[:16]}..."
