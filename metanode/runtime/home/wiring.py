"""From the files of a home to the objects that a node is made of."""

from __future__ import annotations

from metanode.chains.base import ChainParameters
from metanode.chains.rpc import RpcClient
from metanode.custody.policy import CustodyPolicy
from metanode.errors import UserError
from metanode.identity import Identity
from metanode.protocol.context import Settings
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.config import Config
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import COST_OF_PRESET, Keystore, Passphrase
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.disk import FIRST_VALUES, Disk
from metanode.runtime.store.files import read_bounded
from metanode.runtime.store.signing_log import SigningLog


def settings_of(config: Config) -> Settings:
    """Return the core's settings from a configuration."""
    preset, network = config.parameters(), config.network
    if config.stake.outpoint is None:
        raise UserError("stake.outpoint is missing")
    return Settings(
        network_id=config.network_id(),
        preset=preset,
        members=network.members,
        threshold=network.threshold,
        byzantine=network.byzantine,
        keygen_until=network.keygen_until,
        keygen=network.keygen,
        stake=config.stake.outpoint,
        joins=None if config.node.joins is None else bytes.fromhex(config.node.joins),
        chain=config.chain.kind,
        hrp=config.chain.hrp,
        confirmations=config.chain.confirmations,
        custody=CustodyPolicy.of(preset),
    )


def chain_parameters(config: Config) -> ChainParameters:
    """Return the adapter's parameters from a configuration."""
    return ChainParameters(
        name=config.chain.kind, hrp=config.chain.hrp, final_confirmations=config.chain.confirmations
    )


def open_disk(
    home: Home, config: Config, identity: Identity, passphrase: Passphrase, codec: Codec
) -> Disk:
    """Open the stores of a home; UserError names what is missing."""
    node_id = identity.node_id
    return Disk(
        node_id,
        SigningLog.open(home.signing_log, node_id),
        CellStore.open(home.events, node_id, FIRST_VALUES),
        Keystore(home.keyshares, passphrase, COST_OF_PRESET[config.network.preset]),
        codec,
    )


def rpc_client(home: Home, config: Config) -> RpcClient:
    """Return the client of the chain daemon."""
    chain = config.chain
    credentials = None
    if chain.rpc_password_file is not None:
        secret = read_bounded(home.path / chain.rpc_password_file, 4096)
        credentials = (chain.rpc_user, secret.decode("utf-8").strip())
    return RpcClient(chain.rpc_url, credentials)
