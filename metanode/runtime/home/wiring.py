"""From the files of a home to the objects that a node is made of."""

from __future__ import annotations

from metanode.chains.base import ChainParameters
from metanode.chains.rpc import Password, RpcClient
from metanode.custody.policy import CustodyPolicy
from metanode.errors import Unavailable, UserError
from metanode.identity import Identity
from metanode.protocol.context import Settings
from metanode.protocol.wire.codec import Codec
from metanode.runtime.home.config import Config
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import COST_OF_PRESET, Keystore, Passphrase
from metanode.runtime.store.disk import FIRST_VALUES, Disk
from metanode.runtime.store.files import read_bounded
from metanode.runtime.store.stores import open_stores

MAX_PASSWORD_BYTES = 4096
COOKIE_USER = "__cookie__"  # as whom a daemon's cookie file opens it


def settings_of(config: Config) -> Settings:
    """Return the core's settings from a configuration."""
    preset, network = config.parameters(), config.network
    if config.stake.outpoint is None:
        raise UserError("stake.outpoint is missing: write the staked output into [stake]")
    return Settings(
        network_id=config.network_id(),
        preset=preset,
        members=network.members,
        threshold=network.threshold,
        byzantine=network.byzantine,
        keygen_until=network.keygen_until,
        keygen=network.keygen,
        seats=network.seats or network.members,
        stake=config.stake.outpoint,
        joins=None if config.node.joins is None else bytes.fromhex(config.node.joins),
        chain=config.chain.kind,
        hrp=config.chain.hrp,
        confirmations=config.chain.confirmations,
        custody=CustodyPolicy.of(preset, config.chain.hrp),
    )


def chain_parameters(config: Config) -> ChainParameters:
    """Return the adapter's parameters from a configuration."""
    chain = config.chain
    return ChainParameters(
        name=chain.kind, hrp=chain.hrp, chain=chain.chain or "",
        final_confirmations=chain.confirmations,
    )


def open_disk(
    home: Home, config: Config, identity: Identity, passphrase: Passphrase, codec: Codec
) -> Disk:
    """Open the stores of a home; UserError names what is missing, damaged or gone back in time."""
    stores = open_stores(home, identity.node_id, FIRST_VALUES)
    return Disk(
        identity.node_id,
        stores.log,
        stores.store,
        Keystore(home.keyshares, passphrase, COST_OF_PRESET[config.network.preset]),
        codec,
        stores.mark,
    )


def rpc_client(home: Home, config: Config) -> RpcClient:
    """Return the client of the chain daemon, which reads the password when it needs it."""
    return RpcClient(config.chain.rpc_url, lambda: rpc_password(home, config))


def rpc_password(home: Home, config: Config) -> Password:
    """Return user and password: of the file, or both of them of a daemon's cookie file.

    A file that cannot be read is :class:`Unavailable`: a daemon that starts writes its cookie then.
    """
    chain = config.chain
    if chain.rpc_password_file is None:
        return None
    try:
        secret = read_bounded(home.path / chain.rpc_password_file, MAX_PASSWORD_BYTES)
        text = secret.decode("utf-8").strip()
    except UserError as fault:
        raise Unavailable(f"{fault} (chain.rpc_password_file): is the chain daemon up?") from fault
    except UnicodeDecodeError as fault:
        said = "the file named in chain.rpc_password_file is no text"
        raise Unavailable(f"{said}: name the daemon's .cookie file") from fault
    if chain.rpc_user:
        cookie = f"{COOKIE_USER}:" if chain.rpc_user == COOKIE_USER else ""
        return chain.rpc_user, text.removeprefix(cookie)
    user, colon, password = text.partition(":")
    if not colon:
        raise Unavailable(
            "the file named in chain.rpc_password_file holds no user:password: set chain.rpc_user, "
            "or name the daemon's .cookie file"
        )
    return user, password
