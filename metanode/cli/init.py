"""``init``: make the home of a new node."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metanode.cli.common import home_option, parse_endpoint, prompt_passphrase
from metanode.errors import UserError
from spec.chains import CHAINS, Chain, family

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.config import Config
    from metanode.runtime.home.home import Home
    from metanode.runtime.secrets.keystore import Passphrase

KEYGEN_WINDOW_S = 7 * 86_400  # M: keygen_until lies about one week ahead
DEFAULTS: dict[str, dict[str, Any]] = {
    "network": {
        "name": "metanode", "preset": "mainnet", "members": 4, "threshold": 3, "byzantine": 1
    },
    "node": {"listen": "127.0.0.1:7000", "peers": []},
    "stake": {"minimum": 1_000_000},
    "chain": {"kind": "bitcoin", "birth_height": 0},
}
CHAIN_OF_PRESET = {"devnet": "devnet"}  # by default; `chain` listens where its daemon would
DEFAULT_CHAIN = "bitcoin"
# An option is named as the key that it sets, and as key and section in these sections.
SPELT_OUT = ("stake", "admin")


def _chain(
    options: dict[str, Any], found: dict[str, dict[str, Any]], preset: object
) -> Chain | None:
    """Return the chain that options or network file name, or mean by its prefix, or the default.

    None: nothing is known of the prefix. Raises UserError when option and file contradict each
    other, or when a prefix is that of several chains.
    """
    asked, shared = options.get("chain"), found.get("chain", {}).get("chain")
    if asked is not None and shared not in (None, asked):
        raise UserError(
            f"--chain {asked} contradicts {options['network_file']}, which is of {shared}: "
            "give only one of them"
        )
    named = CHAINS.get(str(asked or shared))
    default = CHAINS[CHAIN_OF_PRESET.get(str(preset), DEFAULT_CHAIN)]
    hrp = options.get("hrp") or found.get("chain", {}).get("hrp")
    if named is not None or hrp in (None, default.hrp):
        return named or default
    alike = family(str(hrp)).chains
    if len(alike) > 1:
        names = ", ".join(chain.name for chain in alike)
        raise UserError(f"several chains have addresses {hrp}1...: give --chain, one of {names}")
    return alike[0] if alike else None


def _defaults(preset: object, chain: Chain | None, now: int) -> dict[str, dict[str, Any]]:
    document = copy.deepcopy(DEFAULTS)
    document["network"]["keygen_until"] = now + KEYGEN_WINDOW_S
    if preset == "devnet":
        document["network"]["preset"] = "devnet"
    if chain is not None:
        document["chain"]["chain"] = chain.name
    like = chain or CHAINS[DEFAULT_CHAIN]
    document["chain"] |= {
        "hrp": like.hrp, "confirmations": like.confirmations,
        "rpc_url": f"http://127.0.0.1:{like.rpc_port}",
    }
    return document


def _take_shared(
    document: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]], source: str
) -> None:
    """Put the keys for all members into ``document``; UserError when ``found`` is bad."""
    from metanode.runtime.home.config import parse_config
    from metanode.runtime.home.config_template import PASSED_ON

    # All of it is checked (it may be another member's config.toml), only those keys are kept.
    whole = copy.deepcopy(document)
    for section, keys in found.items():
        whole.setdefault(section, {}).update(keys)
    parse_config(whole, source)
    for path in PASSED_ON:
        section, key = path.split(".")
        if key in found.get(section, {}):
            document.setdefault(section, {})[key] = found[section][key]


def _choose_quorum(
    document: dict[str, dict[str, Any]], options: dict[str, Any], found: dict[str, dict[str, Any]]
) -> None:
    """Compute t, and f from n and t, where neither an option nor the network file says them."""
    from spec.parameters import threshold

    network, shared = document["network"], found.get("network", {})
    said = {key for key in ("members", "threshold", "byzantine")
            if options.get(key) is not None or key in shared}
    n = network["members"]
    if not said or type(n) is not int or n < 1:
        return
    if "threshold" not in said:
        network["threshold"] = threshold(n)
    if "byzantine" not in said and type(network["threshold"]) is int:
        shares = network["threshold"]
        network["byzantine"] = max(0, min(2 * shares - n - 1, n - shares))


def _read_network_file(path: Path | None) -> dict[str, dict[str, Any]]:
    from metanode.runtime.home.config import load_toml

    found = {} if path is None else load_toml(path)
    for section, keys in found.items():
        if not isinstance(keys, dict):
            raise UserError(f"{path}: {section} is a value, not a section: write [{section}]")
    return found


def build_config(options: dict[str, Any], now: int) -> Config:
    """Return the configuration from defaults, the network file and the options, later ones win.

    ``options`` are this command's; ``now`` is unix seconds. Raises UserError as ``load_config``.
    """
    from metanode.runtime.home.config import parse_config
    from metanode.runtime.home.config_template import KEYS

    network_file: Path | None = options.get("network_file")
    found = _read_network_file(network_file)
    preset = options.get("preset") or found.get("network", {}).get("preset")
    document = _defaults(preset, _chain(options, found, preset), now)
    _take_shared(document, found, str(network_file))
    for path in KEYS:
        section, key = path.split(".")
        given = options.get(f"{section}_{key}" if section in SPELT_OUT else key)
        if given is not None:
            document.setdefault(section, {})[key] = given
    _choose_quorum(document, options, found)
    for option, section, key in (("peer", "node", "peers"), ("seed", "network", "seeds")):
        if options.get(option):
            document[section][key] = [
                str(parse_endpoint(f"--{option}", text)) for text in options[option]
            ]
    passphrase_file = options.get("passphrase_file") or options.get("new_passphrase_file")
    if passphrase_file is not None:
        document["node"]["passphrase_file"] = str(passphrase_file.absolute())
    return parse_config(document, "init")


def _passphrase(options: dict[str, Any]) -> Passphrase:
    from metanode.runtime.secrets.keystore import read_passphrase_file, write_passphrase_file

    given, new = options["passphrase_file"], options["new_passphrase_file"]
    if given is not None and new is not None:
        raise UserError("--passphrase-file and --new-passphrase-file exclude each other: give one")
    if given is not None:
        return read_passphrase_file(given)
    if new is not None:
        return write_passphrase_file(new)
    return prompt_passphrase(confirm=True)


_FILE = click.Path(path_type=Path)


@click.command()
@home_option
@click.option("--listen", metavar="HOST:PORT", help="Endpoint to listen on.")
@click.option("--advertise", metavar="HOST:PORT", help="Endpoint others dial, if another.")
@click.option("--peer", multiple=True, metavar="HOST:PORT", help="A peer to dial; may repeat.")
@click.option("--seed", multiple=True, metavar="HOST:PORT", help="Asked by all; may repeat.")
@click.option("--network-file", type=_FILE, help="Shared keys, e.g. a member's config.toml.")
@click.option("--passphrase-file", type=_FILE, help="File with the passphrase (mode 0600).")
@click.option("--new-passphrase-file", type=_FILE, help="Make a random passphrase in this file.")
@click.option("--joins", metavar="KEY", help="Public key of the network to join, if it has one.")
@click.option("--name", help="Name of the network.")
@click.option("--preset", help="mainnet or devnet.")
@click.option("--members", type=int, help="n, members that hold a share.")
@click.option("--threshold", type=int, help="t, members needed to sign; else floor(2n/3)+1.")
@click.option("--byzantine", type=int, help="f, members that may lie; else the most of n and t.")
@click.option("--keygen-until", type=int, metavar="SECONDS", help="No keygen after this time.")
@click.option("--keygen", help="clock: keys are made at once; command: when operators ask.")
@click.option("--stake-outpoint", metavar="TXID:INDEX", help="The output that stakes this node.")
@click.option("--stake-minimum", type=int, metavar="UNITS", help="Least amount of a stake.")
@click.option("--chain", type=click.Choice(list(CHAINS)), help="Sets all that differs by chain.")
@click.option("--hrp", help="First part of the addresses, for a chain without a name here.")
@click.option("--rpc-url", metavar="URL", help="The chain daemon, http://host:port.")
@click.option("--rpc-user", help="User name for the daemon.")
@click.option("--rpc-password-file", help="File with the daemon's password.")
@click.option("--confirmations", type=int, help="Blocks until a deposit is final.")
@click.option("--birth-height", type=int, help="No deposit is older than this block.")
@click.option("--admin-listen", metavar="HOST:PORT", help="Loopback endpoint for status.")
@click.option("--json", "as_json", is_flag=True, help="What was made as JSON.")
def command(home: Path, as_json: bool, **options: Any) -> None:
    """Make the home of a new node: annotated config.toml, identity, empty signing log.

    Nothing that exists is overwritten. The passphrase comes from a file or from a prompt. Of
    --members follow threshold and byzantine, of --chain all that differs by chain.
    """
    from metanode.custody.document import custody_address
    from metanode.runtime.home.home import Home, create_home

    place = Home(home)
    place.check_new()
    config = build_config(options, int(time.time()))
    identity = create_home(place, config, _passphrase(options))
    address = custody_address(identity.node_id, config.chain.hrp)
    network, steps = config.network, _next_steps(place, config, address)
    if as_json:
        made = {
            "home": str(place.path), "node_id": identity.node_id.hex(),
            "network_id": config.network_id().hex(), "stake_address": address,
            "chain": config.chain.chain, "members": network.members,
            "threshold": network.threshold, "byzantine": network.byzantine, "next": steps,
        }
        click.echo(json.dumps(made, indent=2))
        return
    click.echo(f"home:          {place.path}")
    click.echo(f"node id:       {identity.node_id.hex()}")
    click.echo(f"network id:    {config.network_id().hex()}")
    click.echo(f"chain:         {config.chain.chain or config.chain.hrp}")
    click.echo(
        f"quorum:        any {network.threshold} of {network.members} sign, "
        f"{network.byzantine} may lie"
    )
    click.echo(f"stake address: {address}")
    for number, step in enumerate(steps, start=1):
        click.echo(f"next {number}:        {step}")


def _next_steps(home: Home, config: Config, address: str) -> list[str]:
    """Return what the operator does now, in three steps."""
    run = f"metanode run --home {home.path}"
    if config.stake.outpoint is not None:
        return [
            f"metanode doctor --home {home.path} (the stake must be 72 h old)",
            run, f"metanode status --home {home.path} --watch",
        ]
    return [
        f"pay at least {config.stake.minimum} units to the stake address",
        f'write outpoint = "txid:index" of that into [stake] of {home.config}',
        f"after 72 h: metanode doctor --home {home.path}, then {run}",
    ]
