"""The configuration: exact types, bounds, unknown keys, the quorum rule, the network id."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from metanode.custody.types import Outpoint
from metanode.errors import UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.config import (
    Config,
    load_config,
    operators_endpoint,
    parse_config,
)
from metanode.runtime.home.config_template import KEYS, SECTIONS, SHARED, render
from spec.parameters import DEVNET
from tests.runtime.support import config, document

FULL = {
    "node.advertise": "example.org:7000",
    "node.joins": "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "node.log_mib": 16,
    "node.trace_mib": 4096,
    "node.passphrase_file": 'secret/pass phrase "quoted" \\ ü',
    "chain.rpc_password_file": "/run/cookie",
    "chain.rpc_user": "metanode",
    "admin.listen": "[::1]:9000",
    "custody.service_fee_bps": 10,
    "custody.reserve_bps": 20,
    "custody.minimum_deposit": 30,
    "custody.refund_cost": 40,
    "custody.fee_rate_floor": 2,
    "custody.fee_rate_cap": 60,
    "custody.fee_window_blocks": 7,
    "block_list.duration_s": 60,
    "sessions.session_idle_s": 90,
    "sessions.request_lifetime_s": 7200,
    "network.online_weight_minimum": 80,
}


def full_document() -> dict[str, Any]:
    """Return a configuration in which every key has a value."""
    whole = document()
    for path, value in FULL.items():
        section, key = path.split(".")
        whole.setdefault(section, {})[key] = value
    return whole


def test_values_arrive() -> None:
    """Catches keys that land in the wrong place or lose their type."""
    parsed = config()
    assert parsed.network.members == 4
    assert parsed.node.listen == Endpoint("127.0.0.1", 7000)
    assert parsed.node.peers == (Endpoint("127.0.0.1", 7001), Endpoint("::1", 7002))
    assert parsed.stake.outpoint == Outpoint(bytes.fromhex("ab" * 32), 1)
    assert parsed.admin.listen == Endpoint("127.0.0.1", 0)
    assert parsed.node.passphrase_file is None
    assert parsed.parameters() == DEVNET


def test_own_values_enter_the_parameters() -> None:
    """Catches a custody or block-list key that is read and then forgotten."""
    parameters = parse_config(full_document(), "x").parameters()
    for path, value in FULL.items():
        section, key = path.split(".")
        if section in ("custody", "sessions"):
            assert getattr(parameters, key) == value
    assert parameters.block_duration_s == 60
    assert parameters.weight_known_share == 0.8


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("node.listne", "x", "unknown key node.listne (known here: listen, advertise"),
        ("nodes", {}, "unknown key nodes (known here: network, node"),
        ("network.threshold", 2, "2t-n > f must hold, but 2*2-4 = 0 <= 1"),
        ("network.byzantine", 2, "2t-n > f must hold, but 2*3-4 = 2 <= 2"),
        ("network.threshold", 4, "n-f >= t must hold, but 4-1 = 3 < 4"),
        ("network.members", 0, "network: members: 0 is out of bounds: 2..100 members"),
        ("network.members", 1, "network: members: 1 is out of bounds: 2..100 members"),
        ("network.members", 101, "network: members: 101 is out of bounds: 2..100 members"),
        ("network.members", "4", "network.members: a whole number is needed, this is a text"),
        ("network.members", True, "network.members: a whole number is needed, this is true or"),
        ("network.members", 4.0, "network.members: a whole number is needed, this is a number"),
        ("network.name", ..., "network.name is missing"),
        ("network.seeds", ["x:1"] * 33, "network: seeds: 33 seeds, at most 32 are read"),
        ("network.seeds", ["x"], "network.seeds: 'x' is not host:port"),
        ("network.seeds", [7], "network.seeds: a text is needed, this is a whole number"),
        ("node.peers", ["x:0"], "node.peers: 'x:0' is not host:port with a port from 1"),
        ("node.peers", ["x:1"] * 1025, "node: peers: 1025 peers, at most 1024 are read"),
        ("network.name", "Big Net", "name: 'Big Net' is not a name of"),
        ("network.preset", "toy", "preset: 'toy' is not known: use one of mainnet, devnet"),
        ("network", ..., "network is missing"),
        ("node", 3, "node: a section is needed, this is a whole number"),
        ("node.listen", "7000", "node.listen: '7000' is not host:port"),
        ("node.listen", "::1:7000", "node.listen: '::1:7000': an IPv6 address stands in brackets"),
        ("node.listen", "h:70000", "node.listen: 'h:70000' is not host:port"),
        ("node.listen", "h:-1", "node.listen: 'h:-1' is not host:port"),
        ("node.peers", "a:1", "node.peers: a list is needed, this is a text"),
        ("node.peers", ["a:1", 2], "node.peers: a text is needed, this is a whole number"),
        ("stake.outpoint", "ab:1", "stake.outpoint: 'ab:1' is not txid:index"),
        ("stake.minimum", 0, "stake: minimum: 0 is out of bounds"),
        ("chain.kind", "evm", "kind: 'evm' is not known: use one of bitcoin"),
        ("chain.chain", "dogecoin", "chain: 'dogecoin' is not known: use one of bitcoin, bitcoin-"),
        ("chain.chain", "litecoin", "litecoin, whose addresses begin with ltc1, but hrp is bcrt"),
        ("chain.hrp", "BC", "hrp: 'BC' is not an address prefix"),
        ("chain.rpc_url", "localhost:1", "rpc_url must read http://host:port"),
        ("chain.confirmations", 0, "confirmations: 0 is out of bounds: 1..1000 blocks"),
        ("admin.listen", "0.0.0.0:1", "0.0.0.0:1 is not a loopback address"),
        ("custody.fee_rate_floor", 501, "fee_rate_floor 501 is above fee_rate_cap 500"),
        ("custody.fee_rate", 1, "unknown key custody.fee_rate"),
        ("block_list.duration_s", -1, "duration_s: -1 is out of bounds"),
        ("sessions.session_idle_s", 9, "session_idle_s: 9 is out of bounds: 10..3600 s"),
        ("sessions.request_lifetime_s", 59, "request_lifetime_s: 59 is out of bounds: 60..2678400"),
        ("sessions.request_lifetime", 60, "unknown key sessions.request_lifetime"),
        ("network.online_weight_minimum", 0, "online_weight_minimum: 0 is out of bounds: 1..100"),
        ("network.online_weight_minimum", 101, "online_weight_minimum: 101 is out of bounds"),
    ],
)
def test_bad_key_is_named(path: str, value: Any, complaint: str) -> None:
    """Catches a wrong setting that is accepted, or refused without its name and reason."""
    with pytest.raises(UserError) as caught:
        parse_config(document(path, value), "config.toml")
    text = str(caught.value)
    assert text.startswith("config.toml: ")
    assert complaint in text
    assert "\n" not in text


def test_password_in_the_address_is_not_repeated() -> None:
    """Catches an error message that prints the password it complains about."""
    with pytest.raises(UserError) as caught:
        parse_config(document("chain.rpc_url", "http://user:hunter2@127.0.0.1:1"), "x")
    assert "must not hold a password" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[node\n", "line 1"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"\xff", "not UTF-8"),
        (b"#" * (1 << 17), "longer than"),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    """Catches a traceback for a file that is no TOML."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("make", [document, full_document])
def test_template_reads_back_equal(make: Any) -> None:
    """Catches an annotated file that says something else than the configuration it was made of."""
    parsed = parse_config(make(), "x")
    assert parse_config(tomllib.loads(render(parsed)), "y") == parsed


def all_paths() -> set[str]:
    """Return section.key of every declared key."""
    parsed = config()
    return {
        f"{section.name}.{key.name}"
        for section in attrs.fields(Config)
        for key in attrs.fields(type(getattr(parsed, section.name)))
    }


def test_every_key_is_explained() -> None:
    """Catches a key that `init` writes without saying what it does, or never shows."""
    assert set(KEYS) == all_paths()
    assert set(SECTIONS) == {section.name for section in attrs.fields(Config)}
    text = render(config())
    for path in KEYS:
        key = path.split(".")[1]
        assert f"\n{key} = " in text or f"\n# {key} = " in text


def test_network_id_covers_exactly_the_shared_keys() -> None:
    """Catches members that differ in a shared setting and still connect, or cannot for nothing."""
    changed: dict[str, Any] = {
        **FULL,
        "network.name": "other",
        "network.preset": "mainnet",
        "network.members": 5,
        "network.threshold": 4,
        "network.byzantine": 1,
        "network.keygen_until": 1,
        "network.keygen": "command",
        "network.seeds": ["seeds.example.org:7000"],
        "network.seats": 7,
        "network.night_s": 3600,
        "node.listen": "127.0.0.1:1",
        "node.peers": [],
        "stake.outpoint": "cd" * 32 + ":0",
        "stake.minimum": 5,
        "chain.chain": "bitcoin-regtest",
        "chain.hrp": "tb",
        "chain.rpc_url": "http://127.0.0.1:2",
        "chain.confirmations": 3,
        "chain.birth_height": 4,
    }
    # With f = 0 each of n, t and f can change alone. There is one kind of chain so far.
    base = document("network.byzantine", 0)
    base_id = parse_config(base, "x").network_id()
    assert len(base_id) == 32
    for path in sorted(all_paths() - {"chain.kind"}):
        section, key = path.split(".")
        other = {**base, section: {**base.get(section, {}), key: changed[path]}}
        differs = parse_config(other, "x").network_id() != base_id
        assert differs == (path in SHARED), path


@pytest.mark.parametrize("text", ["127.0.0.1:7000", "[::1]:0", "node.example.org:65535"])
def test_endpoint_text_round_trip(text: str) -> None:
    """Catches an endpoint that is printed in a form that cannot be read back."""
    assert str(operators_endpoint(text)) == text
