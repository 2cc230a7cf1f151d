"""Locking scripts, addresses and memos.

Sources: BIP141 (witness programs), BIP173/BIP350 (bech32, bech32m), the standard output types and
their base58 addresses.
"""

from __future__ import annotations

from btclib import base58, bech32
from btclib.b32 import bytes_from_witness_program, power_of_2_base_conversion
from btclib.exceptions import BTClibException
from btclib.hashes import hash160

from metanode.custody.types import NODE_ID_BYTES
from metanode.errors import UserError, check
from spec.chains import family

MAX_MEMO_BYTES = 80  # Bitcoin Core's relay limit for OP_RETURN data (MAX_OP_RETURN_RELAY, 83 bytes)
MAX_ADDRESS_CHARACTERS = 90  # BIP173

_OP_RETURN = 0x6A
_OP_PUSHDATA1 = 0x4C
_OP_PUSHDATA2 = 0x4D
_OP_1 = 0x51
_TAPROOT_VERSION = 1
_TAPROOT_PROGRAM_BYTES = 32
_KEY_HASH_BYTES = 20
# The push of a key and its first byte; a hybrid key (6, 7) is relayed, but nobody can spend it.
_BARE_KEYS = (b"\x21\x02", b"\x21\x03", b"\x41\x04")


def key_script(public_key: bytes) -> bytes:
    """Return the P2WPKH script (22 bytes) that pays the holder of a 33-byte compressed key."""
    check(len(public_key) == NODE_ID_BYTES, "a compressed public key has 33 bytes")
    return witness_script(0, hash160(public_key))


def witness_script(version: int, program: bytes) -> bytes:
    """Return the locking script of a witness program: version opcode, then the pushed program."""
    opcode = 0 if version == 0 else _OP_1 + version - 1
    return bytes([opcode, len(program)]) + program


def address_of(script: bytes, hrp: str) -> str:
    """Return the segwit address of a witness script with the chain's prefix ``hrp``.

    Raises :class:`LocalFault` when the script is no witness program.
    """
    check(is_witness_script(script), "not a witness script")
    version = 0 if script[0] == 0 else script[0] - _OP_1 + 1
    digits = power_of_2_base_conversion(script[2:], 8, 5)
    return bech32.encode(hrp, [version, *digits]).decode("ascii")


def script_of_address(address: str, hrp: str) -> bytes:
    """Return the locking script of an address of this chain: segwit (v0, or v1 with 32 bytes), or
    base58 (P2PKH, P2SH).

    Raises :class:`UserError` for another chain's prefix, a bad checksum, or a form that no wallet
    of today can spend (an unknown witness version would burn the money).
    """
    if len(address) > MAX_ADDRESS_CHARACTERS or not address.isascii():
        raise UserError(f"{address[:20]!r}... is no address: use one that starts with {hrp}1")
    script = _script_of_base58(address, hrp)
    return _script_of_segwit(address, hrp) if script is None else script


def _script_of_base58(address: str, hrp: str) -> bytes | None:
    """Return the script of a base58 address, or None for what is none."""
    if not address.isalnum():
        return None
    try:
        payload = base58.decode(address, _KEY_HASH_BYTES + 1)
    except (BTClibException, ValueError):
        return None
    version, program, known = payload[0], payload[1:], family(hrp)
    if version in known.key_hash:
        return b"\x76\xa9\x14" + program + b"\x88\xac"
    if version in known.script_hash:
        return b"\xa9\x14" + program + b"\x87"
    raise UserError(f"{address!r} belongs to another chain: use an address of {hrp}1...")


def _script_of_segwit(address: str, hrp: str) -> bytes:
    try:
        found_hrp, digits = bech32.decode(address)
        version = digits[0]
        regrouped = power_of_2_base_conversion(digits[1:], 5, 8, False)
        program = bytes_from_witness_program(version, bytes(regrouped))
    except (BTClibException, IndexError) as fault:
        raise UserError(f"{address!r} is no segwit address: use one of {hrp}1...") from fault
    if found_hrp != hrp:
        raise UserError(f"{address!r} belongs to another chain: use an address of {hrp}1...")
    if version > _TAPROOT_VERSION or (version == 1 and len(program) != _TAPROOT_PROGRAM_BYTES):
        raise UserError(f"{address!r} has witness version {version}, which nobody can spend yet")
    return witness_script(version, program)


def is_witness_script(script: bytes) -> bool:
    """Tell whether a locking script is a witness program (BIP141)."""
    return (
        4 <= len(script) <= 42
        and len(script) == script[1] + 2
        and (script[0] == 0 or _OP_1 <= script[0] <= _OP_1 + 15)
    )


def is_payable(script: bytes) -> bool:
    """Tell whether nodes relay a payment to this script and somebody can spend it.

    One output of another form would keep the whole payout from being relayed.
    """
    if script[:2] in _BARE_KEYS and len(script) == script[0] + 2:
        return script.endswith(b"\xac")  # P2PK, which old coins and some miners use
    if len(script) == _KEY_HASH_BYTES + 5:
        return script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac")  # P2PKH
    if len(script) == _KEY_HASH_BYTES + 3:
        return script.startswith(b"\xa9\x14") and script.endswith(b"\x87")  # P2SH
    # P2WPKH, P2WSH and P2TR
    return (len(script), script[:2]) in {(22, b"\x00\x14"), (34, b"\x00\x20"), (34, b"\x51\x20")}


def data_script(payload: bytes) -> bytes:
    """Return the OP_RETURN script that carries ``payload`` (at most 80 bytes)."""
    check(len(payload) <= MAX_MEMO_BYTES, f"at most {MAX_MEMO_BYTES} bytes fit into OP_RETURN")
    if len(payload) < _OP_PUSHDATA1:
        return bytes([_OP_RETURN, len(payload)]) + payload
    return bytes([_OP_RETURN, _OP_PUSHDATA1, len(payload)]) + payload


def memo_of(script: bytes) -> bytes | None:
    """Return the data of an OP_RETURN script with exactly one push, else None.

    A payload longer than a memo may be comes back cut to one byte too many: still no valid memo,
    and bounded in memory.
    """
    if len(script) < 2 or script[0] != _OP_RETURN:
        return None
    opcode, start = script[1], 2
    length = opcode
    if opcode == _OP_PUSHDATA1:
        length, start = int.from_bytes(script[2:3]), 3
    elif opcode == _OP_PUSHDATA2:
        length, start = int.from_bytes(script[2:4], "little"), 4
    elif opcode > _OP_PUSHDATA1:
        return None
    if len(script) < start or len(script) != start + length:
        return None
    return script[start : start + MAX_MEMO_BYTES + 1]
