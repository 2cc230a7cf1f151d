"""The node's configuration: annotated TOML into frozen classes, nothing unknown, nothing implied.

Every key is checked for its exact type and its bounds; a key that no class declares is refused with
its path, because a mistyped key that is silently ignored is a setting that silently does not hold.
All that the members must share enters :meth:`Config.network_id`, so that nodes which disagree on it
never form a link instead of failing in the middle of a round.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import cattrs
from attrs import Attribute, Factory, field, frozen
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from metanode.custody.types import MAX_MONEY, Outpoint
from metanode.errors import UserError
from metanode.hashing import tagged_hash
from metanode.protocol.peers.endpoints import Endpoint, parse_endpoint
from metanode.runtime.store.files import read_bounded
from metanode.tss.curve import parse_point
from spec.chains import CHAINS
from spec.parameters import LARGEST_ROSTER, PRESETS, Preset, quorum_fault, sized

MAX_CONFIG_BYTES = 64 << 10
DAY_S = 86_400
MAX_SEEDS = 32
LATER_KEYS = ("seats", "night_s", "online_weight_minimum")
"""Shared keys that networks did without at first: one that has none of them keeps its id."""
MAX_PEERS = 1024
MAX_AMOUNT = MAX_MONEY
MAX_TIME = 2**40
PRESET_NAMES = ("mainnet", "devnet")
KEYGEN_MODES = ("clock", "command")
CHAIN_KINDS = ("bitcoin",)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HRP = re.compile(r"[a-z]{1,16}")
_PUBLIC_KEY = re.compile(r"0[23][0-9a-f]{64}")


def _between(low: int, high: int, unit: str) -> Any:
    def bounded(_instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise ValueError(f"{attribute.name}: {value} is out of bounds: {low}..{high} {unit}")

    return bounded


def _at_most(number: int, what: str) -> Any:
    def bounded(_instance: object, attribute: Attribute[Any], value: tuple[object, ...]) -> None:
        if len(value) > number:
            raise ValueError(f"{attribute.name}: {len(value)} {what}, at most {number} are read")

    return bounded


def _one_of(*names: str) -> Any:
    def known(_instance: object, attribute: Attribute[Any], value: str) -> None:
        if value not in names:
            raise ValueError(
                f"{attribute.name}: {value!r} is not known: use one of {', '.join(names)}"
            )

    return known


def _matches(pattern: re.Pattern[str], form: str) -> Any:
    def formed(_instance: object, attribute: Attribute[Any], value: str) -> None:
        if not pattern.fullmatch(value):
            raise ValueError(f"{attribute.name}: {value!r} is not {form}")

    return formed


def operators_endpoint(text: str) -> Endpoint:
    """Read ``host:port`` as an operator writes it: a host name is as good, and so is port 0."""
    return parse_endpoint(text, allow_names=True, any_port=True)


@frozen(kw_only=True)
class NetworkSection:
    """What all members agree on: the network's name, its preset, n, t, f and the keygen window.

    ``seats`` is how many holders nights bring the roster up to, by default as many as founded it;
    ``night_s`` is the time from one night to the next, by default the preset's.
    ``seeds`` goes from member to member with the rest, but nobody needs the same ones.
    """

    name: str = field(validator=_matches(_NAME, "a name of 1 to 32 characters a-z, 0-9, -"))
    preset: str = field(validator=_one_of(*PRESET_NAMES))
    members: int = field(validator=_between(2, LARGEST_ROSTER, "members"))
    threshold: int = field(validator=_between(2, LARGEST_ROSTER, "members"))
    byzantine: int = field(validator=_between(0, LARGEST_ROSTER, "members"))
    keygen_until: int = field(validator=_between(0, MAX_TIME, "unix seconds"))
    keygen: str = field(default="clock", validator=_one_of(*KEYGEN_MODES))
    seeds: tuple[Endpoint, ...] = field(default=(), validator=_at_most(MAX_SEEDS, "seeds"))
    seats: int | None = field(default=None, validator=_between(2, LARGEST_ROSTER, "members"))
    night_s: int | None = field(default=None, validator=_between(30, DAY_S, "seconds"))
    online_weight_minimum: int | None = field(default=None, validator=_between(1, 100, "percent"))

    def __attrs_post_init__(self) -> None:
        fault = quorum_fault(self.members, self.threshold, self.byzantine)
        if fault is not None:
            raise ValueError(f"unsafe members, threshold, byzantine: {fault}")
        if self.night_s is not None and DAY_S % self.night_s:
            raise ValueError(
                f"night_s: {self.night_s} does not divide the day of {DAY_S} s: nights would not "
                "come at the same hours; take 3600, 43200 or 86400"
            )


def _optional_key(_instance: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    if not _PUBLIC_KEY.fullmatch(value) or parse_point(bytes.fromhex(value)) is None:
        raise ValueError(
            f"{attribute.name}: {value!r} is no public key: give the 66 hex digits that the "
            "network's operators show with `status`"
        )


@frozen(kw_only=True)
class NodeSection:
    """This node's endpoint, how others reach it, whom it dials first, where its passphrase is.

    ``joins`` is the public key of a network that this node was not a founder of.
    """

    listen: Endpoint
    advertise: Endpoint | None = None
    peers: tuple[Endpoint, ...] = field(default=(), validator=_at_most(MAX_PEERS, "peers"))
    passphrase_file: str | None = None
    joins: str | None = field(default=None, validator=_optional_key)
    trace_mib: int = field(default=1024, validator=_between(128, 1 << 20, "MiB"))
    log_mib: int = field(default=64, validator=_between(4, 1 << 14, "MiB"))


@frozen(kw_only=True)
class StakeSection:
    """The output that stakes this node (absent until it is funded) and the least amount."""

    outpoint: Outpoint | None = None
    minimum: int = field(validator=_between(1, MAX_AMOUNT, "base units"))


def _optional_chain(_instance: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is not None:
        _one_of(*CHAINS)(_instance, attribute, value)


@frozen(kw_only=True)
class ChainSection:
    """The chain and the daemon that this node asks about it.

    ``chain`` is its name in :mod:`spec.chains`; a chain that has none there is known by its
    addresses alone.
    """

    kind: str = field(validator=_one_of(*CHAIN_KINDS))
    chain: str | None = field(default=None, validator=_optional_chain)
    hrp: str = field(validator=_matches(_HRP, "an address prefix of lower-case letters"))
    rpc_url: str = field()
    rpc_user: str = ""
    rpc_password_file: str | None = None
    confirmations: int = field(validator=_between(1, 1000, "blocks"))
    birth_height: int = field(validator=_between(0, 2**31, "blocks"))

    @rpc_url.validator
    def _plain_http(self, _attribute: object, value: str) -> None:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("rpc_url must read http://host:port")
        if "@" in parts.netloc:
            # The text is not repeated: it may hold a password.
            raise ValueError("rpc_url must not hold a password: use rpc_user, rpc_password_file")

    def __attrs_post_init__(self) -> None:
        if self.chain is not None and CHAINS[self.chain].hrp != self.hrp:
            raise ValueError(
                f"chain is {self.chain}, whose addresses begin with {CHAINS[self.chain].hrp}1, "
                f"but hrp is {self.hrp}: correct one of them"
            )

    def genesis(self) -> bytes:
        """Return the id of the chain's first block, nothing for a chain that has no name."""
        return b"" if self.chain is None else CHAINS[self.chain].genesis


@frozen(kw_only=True)
class AdminSection:
    """Where /status and /metrics listen; loopback only, port 0 lets the OS choose."""

    listen: Endpoint = field(default=Endpoint("127.0.0.1", 0))

    def __attrs_post_init__(self) -> None:
        if self.listen.host not in ("127.0.0.1", "::1"):
            raise ValueError(f"listen: {self.listen} is not a loopback address: use 127.0.0.1:port")


@frozen(kw_only=True)
class CustodySection:
    """Fees and limits of payouts; an absent key takes the preset's value."""

    service_fee_bps: int | None = field(default=None, validator=_between(0, 10_000, "1/10000"))
    reserve_bps: int | None = field(default=None, validator=_between(0, 10_000, "1/10000"))
    minimum_deposit: int | None = field(default=None, validator=_between(1, MAX_AMOUNT, "units"))
    refund_cost: int | None = field(default=None, validator=_between(0, MAX_AMOUNT, "units"))
    fee_rate_floor: int | None = field(default=None, validator=_between(1, 10_000, "units/vB"))
    fee_rate_cap: int | None = field(default=None, validator=_between(1, 10_000, "units/vB"))
    fee_window_blocks: int | None = field(default=None, validator=_between(1, 1000, "blocks"))


@frozen(kw_only=True)
class BlockListSection:
    """How long verified misbehaviour keeps a peer out; absent: the preset's 72 h."""

    duration_s: int | None = field(default=None, validator=_between(1, 31_536_000, "s"))


@frozen(kw_only=True)
class SessionsSection:
    """How long a session may be silent, and how long a request is tried; None is the preset's."""

    session_idle_s: int | None = field(default=None, validator=_between(10, 3600, "s"))
    request_lifetime_s: int | None = field(default=None, validator=_between(60, 2_678_400, "s"))


@frozen(kw_only=True)
class Config:
    """The whole configuration of one node."""

    network: NetworkSection
    node: NodeSection
    stake: StakeSection
    chain: ChainSection
    admin: AdminSection = Factory(AdminSection)
    custody: CustodySection = Factory(CustodySection)
    block_list: BlockListSection = Factory(BlockListSection)
    sessions: SessionsSection = Factory(SessionsSection)

    def __attrs_post_init__(self) -> None:
        floor, cap = self.parameters().fee_rate_floor, self.parameters().fee_rate_cap
        if floor > cap:
            raise ValueError(f"custody: fee_rate_floor {floor} is above fee_rate_cap {cap}")

    def parameters(self) -> Preset:
        """Return the preset, as it is for so many members, with this configuration's own values."""
        chosen = attrs.asdict(self.custody) | attrs.asdict(self.sessions)
        own = {name: value for name, value in chosen.items() if value is not None}
        if self.network.online_weight_minimum is not None:
            own["weight_known_share"] = self.network.online_weight_minimum / 100
        if self.block_list.duration_s is not None:
            own["block_duration_s"] = self.block_list.duration_s
        if self.network.night_s is not None:
            own["regroup_period_s"] = self.network.night_s
        preset = sized(PRESETS[self.network.preset], self.network.members)
        return attrs.evolve(preset, **own)

    def network_id(self) -> bytes:
        """Return 32 bytes that are equal exactly for nodes whose shared settings are equal."""
        preset, network, chain = self.parameters(), self.network, self.chain
        shared = [
            *attrs.astuple(network, filter=attrs.filters.exclude("seeds", *LATER_KEYS)),
            self.stake.minimum,
            chain.kind,
            chain.chain,
            chain.genesis().hex(),
            chain.hrp,
            chain.confirmations,
            chain.birth_height,
            *(getattr(preset, attribute.name) for attribute in attrs.fields(CustodySection)),
        ]
        later = ((name, getattr(network, name)) for name in LATER_KEYS)
        shared += [f"{name}={value}" for name, value in later if value is not None]
        return tagged_hash("network", *(str(value).encode() for value in shared))


class _WrongType(ValueError):
    """A value of another TOML type than the key's."""


_TOML_NAMES = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    float: "a number",
    list: "a list",
    dict: "a section",
}


def _expect(value: object, wanted: type) -> None:
    if type(value) is not wanted:
        found = _TOML_NAMES.get(type(value), type(value).__name__)
        raise _WrongType(f"{_TOML_NAMES[wanted]} is needed, this is {found}")


_ENDPOINTS = tuple[Endpoint, ...]


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    def exact(wanted: type) -> Any:
        def structure(value: object, _type: object) -> object:
            _expect(value, wanted)
            return value

        return structure

    def endpoint(value: Any, _type: object) -> Endpoint:
        _expect(value, str)
        return operators_endpoint(value)

    def outpoint(value: Any, _type: object) -> Outpoint:
        _expect(value, str)
        return Outpoint.parse(value)

    def endpoints(value: Any, _type: object) -> tuple[Endpoint, ...]:
        _expect(value, list)
        for item in value:
            _expect(item, str)
        return tuple(parse_endpoint(item, allow_names=True) for item in value)

    def section(cls: type) -> Any:
        structure: Any = make_dict_structure_fn(
            cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
        )

        def checked(value: Any, wanted: Any) -> object:
            _expect(value, dict)
            return structure(value, wanted)

        return checked

    converter.register_structure_hook_factory(attrs.has, section)
    for plain in (bool, int, str):
        converter.register_structure_hook(plain, exact(plain))
    converter.register_structure_hook(Endpoint, endpoint)
    converter.register_structure_hook(Outpoint, outpoint)
    converter.register_structure_hook_func(lambda wanted: wanted == _ENDPOINTS, endpoints)
    return converter


def _faults(error: Exception, path: tuple[str, ...]) -> Iterator[tuple[Exception, str]]:
    """Yield the single errors inside a cattrs error tree, each with the path of its key."""
    if not isinstance(error, BaseValidationError):
        yield error, ".".join(path)
        return
    for inner in error.exceptions:
        names = [getattr(note, "name", None) for note in getattr(inner, "__notes__", ())]
        yield from _faults(inner, (*path, *(str(name) for name in names if name is not None)))


def _first_fault(error: Exception) -> str:
    """Return one line for the fault to mend first.

    That is an unknown key, if any: mistyping a key makes the right one missing too.
    """
    faults = list(_faults(error, ()))
    unknown = [fault for fault in faults if isinstance(fault[0], ForbiddenExtraKeysError)]
    first, where = (unknown or faults)[0]
    if isinstance(first, ForbiddenExtraKeysError):
        prefix = f"{where}." if where else ""
        keys = ", ".join(prefix + key for key in sorted(first.extra_fields))
        known = ", ".join(attribute.name for attribute in attrs.fields(first.cl))
        return f"unknown key {keys} (known here: {known})"
    if isinstance(first, KeyError):
        return f"{where} is missing"
    return f"{where}: {first}" if where else str(first)


def parse_config(document: dict[str, Any], source: str) -> Config:
    """Return the configuration in a parsed TOML ``document``.

    Raises UserError that starts with ``source`` and names the first wrong key by its path.
    """
    converter = _converter()
    try:
        return converter.structure(document, Config)
    except (BaseValidationError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{source}: {_first_fault(error)}") from error


def load_toml(path: Path) -> dict[str, Any]:
    """Return the TOML document in ``path``; UserError names the file and the line."""
    data = read_bounded(path, MAX_CONFIG_BYTES)
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: {error}") from error


def load_config(path: Path) -> Config:
    """Return the configuration in ``path``; UserError names the file and the first wrong key."""
    return parse_config(load_toml(path), str(path))
