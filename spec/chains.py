"""The chains of Bitcoin's family: what differs between them, for the node and for its operator.

Sources: ``chainparams.cpp``, ``chainparamsbase.cpp``, ``policy/policy.h`` and ``validation.h`` of
Bitcoin Core and of Litecoin. Confirmations are an hour of blocks, by ``nPowTargetSpacing``: the six
of Bitcoin's own wallet (``RecommendedNumConfirmations`` in ``qt/transactionrecord.h``), and as much
time on Litecoin, whose blocks come four times as often. On chains that anybody mines at will one
block is as good as many.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class Chain:
    """One chain. ``name`` is how operators write it, ``title`` how they read it.

    ``hrp`` is the first part of its segwit addresses, ``genesis`` the 32-byte id of its first
    block, ``daemon`` what ``getblockchaininfo`` calls it, ``rpc_port`` where its daemon answers
    unless it is told otherwise, and ``confirmations`` what a network waits for by default.
    """

    name: str
    title: str
    hrp: str
    genesis: bytes
    daemon: str
    rpc_port: int
    confirmations: int

    @property
    def is_regtest(self) -> bool:
        """Return whether its blocks are mined at will, by whoever runs a daemon of it."""
        return self.daemon == "regtest"


@frozen(kw_only=True)
class Family:
    """What the chains that share an address prefix have in common.

    ``key_hash`` and ``script_hash`` are the version bytes of base58 addresses (P2PKH, P2SH);
    ``dust_rate`` is the rate, in base units per virtual byte, at which daemons find an output too
    small to be worth its own spending; ``replaces`` tells whether daemons replace a waiting
    transaction by a dearer one unless their operator says so (``-mempoolreplacement``).
    """

    chains: tuple[Chain, ...] = ()
    key_hash: tuple[int, ...] = ()
    script_hash: tuple[int, ...] = ()
    dust_rate: int = 3
    replaces: bool = True


_HOUR_OF_BITCOIN = 6
_HOUR_OF_LITECOIN = 24


def _bitcoin(
    name: str, title: str, hrp: str, genesis: str, daemon: str, rpc_port: int,
    confirmations: int = _HOUR_OF_BITCOIN,
) -> Chain:
    return Chain(
        name=name, title=title, hrp=hrp, genesis=bytes.fromhex(genesis), daemon=daemon,
        rpc_port=rpc_port, confirmations=confirmations,
    )


def _litecoin(
    name: str, title: str, hrp: str, genesis: str, daemon: str, rpc_port: int,
    confirmations: int = _HOUR_OF_LITECOIN,
) -> Chain:
    return _bitcoin(name, title, hrp, genesis, daemon, rpc_port, confirmations)


CHAINS: Mapping[str, Chain] = {
    chain.name: chain
    for chain in (
        _bitcoin("bitcoin", "Bitcoin", "bc",
                 "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", "main", 8332),
        _bitcoin("bitcoin-testnet", "Bitcoin testnet3", "tb",
                 "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", "test", 18332),
        _bitcoin("bitcoin-testnet4", "Bitcoin testnet4", "tb",
                 "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043", "testnet4",
                 48332),
        _bitcoin("bitcoin-signet", "Bitcoin signet", "tb",
                 "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6", "signet",
                 38332),
        _bitcoin("bitcoin-regtest", "Bitcoin regtest", "bcrt",
                 "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", "regtest",
                 18443, 1),
        _bitcoin("devnet", "the embedded chain", "bcrt",
                 "0fd8967344ee5158a69d78f25c2a5fa98a7a3ec718db2ee7a8cea8c8fefdc9a8", "regtest",
                 18443, 1),
        _litecoin("litecoin", "Litecoin", "ltc",
                  "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2", "main", 9332),
        _litecoin("litecoin-testnet", "Litecoin testnet", "tltc",
                  "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0", "test",
                  19332),
        # litecoind gives its signet the first block of its testnet: only the daemon's word for the
        # chain tells one from the other.
        _litecoin("litecoin-signet", "Litecoin signet", "tltc",
                  "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0", "signet",
                  39332),
        _litecoin("litecoin-regtest", "Litecoin regtest", "rltc",
                  "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9", "regtest",
                  19443, 1),
    )
}
"""The chains by name; a genesis block tells one from another, whatever a daemon calls it."""


def _family(
    hrp: str, key_hash: int, script_hash: tuple[int, ...], dust_rate: int, replaces: bool
) -> Family:
    chains = tuple(chain for chain in CHAINS.values() if chain.hrp == hrp)
    return Family(
        chains=chains, key_hash=(key_hash,), script_hash=script_hash, dust_rate=dust_rate,
        replaces=replaces,
    )


FAMILIES: Mapping[str, Family] = {
    "bc": _family("bc", 0, (5,), dust_rate=3, replaces=True),
    "tb": _family("tb", 111, (196,), dust_rate=3, replaces=True),
    "bcrt": _family("bcrt", 111, (196,), dust_rate=3, replaces=True),
    "ltc": _family("ltc", 48, (50, 5), dust_rate=30, replaces=False),
    "tltc": _family("tltc", 111, (58, 196), dust_rate=30, replaces=False),
    "rltc": _family("rltc", 111, (58, 196), dust_rate=30, replaces=False),
}
"""Address prefix → what its chains have in common."""


def family(hrp: str) -> Family:
    """Return what is known of an address prefix: for one that is not known, Bitcoin's rules."""
    return FAMILIES.get(hrp, Family())


def title_of(genesis: bytes, daemon: str) -> str:
    """Return the title of a chain by its first block and the daemon's word for it."""
    alike = [chain for chain in CHAINS.values() if chain.genesis == genesis]
    exact = [chain for chain in alike if chain.daemon == daemon]
    found = (exact or alike)[:1]
    return found[0].title if found else f"a chain whose first block is {genesis.hex()[:16]}..."
