"""The annotated configuration file: every key with its unit and what it does.

``render`` writes any configuration, so that a program which needs another setting (``init``, the
local demo) writes the same annotated file that an operator reads. What ``render`` writes,
``load_config`` reads back equal.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from metanode.custody.types import Outpoint
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.config import Config
from spec.chains import CHAINS
from spec.parameters import PRESETS

HEADER = """\
# Configuration of one metanode. Unknown keys are refused; a changed file counts at the next start.
# The keys marked [shared] must be equal at all members: they make up the network id, and nodes
# with another network id never connect. Those marked [passed on] a new member takes over too.
# Amounts are in the chain's base unit (satoshi), times in seconds.
"""

SECTIONS = {
    "network": "The network and its key.",
    "node": "This node.",
    "stake": "The output that makes this node a member.",
    "chain": "The chain, and the daemon that this node asks about it.",
    "admin": "Where `metanode status` and a metrics collector connect.",
    "custody": "Fees and limits of payouts. A commented key has the preset's value.",
    "block_list": "Peers that provably misbehaved.",
    "sessions": "How long sessions and requests may take. A commented key has the preset's value.",
}

KEYS = {
    "network.name": "[shared] name of the network: 1 to 32 characters a-z, 0-9, -",
    "network.preset": '[shared] "mainnet", or "devnet" with short rounds, keygen and ping periods',
    "network.members": "[shared] n, members that hold a share of the key",
    "network.threshold": "[shared] t, members needed to sign; floor(2n/3)+1 is usual",
    "network.byzantine": "[shared] f, members that may lie; 2t-n > f and n-f >= t must hold",
    "network.keygen_until": "[shared] unix seconds: after this moment no key is generated",
    "network.keygen": '[shared] "clock": a key is made at once; "command": when operators ask',
    "network.seats": "[shared] holders that nights fill the roster up to; absent: `members`",
    "network.night_s": "[shared] seconds from one night to the next, from 00:00 UTC; absent: a day",
    "network.online_weight_minimum": "[shared] stake of the members that must be online before the"
    " crawler slows down, percent; absent: 67",
    "network.seeds": '[passed on] asked when too few are known, e.g. ["seeds.example.org:7000"]',
    "node.listen": 'TCP endpoint to listen on, "host:port"; "[::]:port" serves IPv4 and IPv6',
    "node.advertise": "endpoint that other nodes dial, when it is not the one above",
    "node.peers": 'endpoints dialled first, e.g. ["10.0.0.1:7000"]; one is enough to find the rest',
    "node.passphrase_file": "file (mode 0600) with the passphrase; without it `run` asks",
    "node.joins": "public key (hex) of a network that exists already; absent: found a new one",
    "node.trace_mib": "so much of the trace is kept, MiB; older files are sealed and removed",
    "node.log_mib": "so much of the log is kept, MiB",
    "stake.outpoint": 'the stake, "txid:index": unspent, paid to this node, at least 72 h old',
    "stake.minimum": "[shared] least amount of a stake, base units",
    "chain.kind": '[shared] "bitcoin": a daemon with Bitcoin Core\'s JSON-RPC',
    "chain.chain": f"[shared] one of {', '.join(CHAINS)}",
    "chain.hrp": '[shared] first part of the chain\'s addresses, e.g. "bc", "ltc", "bcrt"',
    "chain.rpc_url": 'where the daemon answers, "http://host:port"',
    "chain.rpc_user": "user name for the daemon, empty for none",
    "chain.rpc_password_file": "file (mode 0600) with the daemon's password, or its .cookie file",
    "chain.confirmations": "[shared] blocks on top before a deposit or payout counts as final",
    "chain.birth_height": "[shared] no deposit is older than this block; the key's age is known",
    "admin.listen": "loopback endpoint; port 0 takes a free one (it is written to admin.json)",
    "custody.service_fee_bps": "[shared] fee kept from a transfer, 1/10000",
    "custody.reserve_bps": "[shared] part of the fee kept for mining fees, 1/10000",
    "custody.minimum_deposit": "[shared] smaller deposits are dust, base units",
    "custody.refund_cost": "[shared] kept from a refund for its mining fee, base units",
    "custody.fee_rate_floor": "[shared] lowest fee rate of a payout, base units per vB",
    "custody.fee_rate_cap": "[shared] highest fee rate of a payout, base units per vB",
    "custody.fee_window_blocks": "[shared] blocks whose median fee rate is taken",
    "block_list.duration_s": "how long an entry lasts, seconds (72 h)",
    "sessions.session_idle_s": "a session that hears nothing for so long has expired, seconds",
    "sessions.request_lifetime_s": "an operator's request is tried for so long, seconds",
}

SHARED = frozenset(path for path, text in KEYS.items() if text.startswith("[shared]"))
"""The keys that enter the network id."""

PASSED_ON = SHARED | {path for path, text in KEYS.items() if text.startswith("[passed on]")}
"""The keys that a new member takes from another one's file."""

_PRESET_KEYS = {
    "block_list.duration_s": "block_duration_s", "network.night_s": "regroup_period_s",
}


def preset_key(path: str) -> str:
    """Return the name that a key has in the preset, whose value counts where the key is absent."""
    return _PRESET_KEYS.get(path, path.split(".")[1])


def _literal(value: Any) -> str:
    """Return ``value`` as TOML; JSON's text escapes are TOML's."""
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, Endpoint | Outpoint):
        return json.dumps(str(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def _absent(path: str, config: Config) -> str:
    """Return what a commented-out key shows: the value in force, or its form."""
    preset = PRESETS[config.network.preset]
    value = getattr(preset, preset_key(path), None)
    return '""' if value is None else _literal(value)


def render(config: Config) -> str:
    """Return the annotated TOML text of ``config``."""
    lines = [HEADER]
    for section in attrs.fields(Config):
        lines.append(f"# {SECTIONS[section.name]}\n[{section.name}]")
        values = getattr(config, section.name)
        for key in attrs.fields(type(values)):
            path = f"{section.name}.{key.name}"
            value = getattr(values, key.name)
            lines.append(f"# {KEYS[path]}")
            if value is None:
                lines.append(f"# {key.name} = {_absent(path, config)}")
            else:
                lines.append(f"{key.name} = {_literal(value)}")
        lines.append("")
    return "\n".join(lines)
