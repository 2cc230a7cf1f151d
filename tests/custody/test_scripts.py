"""Scripts and addresses against the published vectors of BIP173 and BIP350."""

from __future__ import annotations

import pytest

from metanode.custody.scripts import (
    MAX_MEMO_BYTES,
    address_of,
    data_script,
    is_payable,
    key_script,
    memo_of,
    script_of_address,
)
from metanode.errors import LocalFault, UserError

# BIP173, "Examples": the key is the generator point.
GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
MAINNET_ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
# BIP350, test vectors for v0-v16 native segregated witness addresses.
TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
TAPROOT_SCRIPT = "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def test_published_addresses() -> None:
    """Catches a wrong hash, a wrong checksum constant or swapped bytes."""
    assert address_of(key_script(GENERATOR), "bc") == MAINNET_ADDRESS
    assert script_of_address(MAINNET_ADDRESS, "bc") == key_script(GENERATOR)
    assert script_of_address(MAINNET_ADDRESS.upper(), "bc") == key_script(GENERATOR)
    assert script_of_address(TAPROOT, "bc").hex() == TAPROOT_SCRIPT
    assert address_of(bytes.fromhex(TAPROOT_SCRIPT), "bc") == TAPROOT


@pytest.mark.parametrize("hrp", ["bcrt", "rltc", "ltc", "tb"])
def test_any_prefix_round_trips(hrp: str) -> None:
    """Catches an address codec that knows only Bitcoin's own prefixes."""
    script = key_script(GENERATOR)
    assert script_of_address(address_of(script, hrp), hrp) == script


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bc1",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",  # checksum
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",  # BIP173: another chain
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",  # checksum of base58
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",  # base58 of testnet
        "LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1",  # base58 of Litecoin
        "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF",  # a private key
        "11111111111111111111111111",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",  # BIP350: wrong constant
        "bc1sw50qgdz25j",  # BIP350: witness version 16, valid but unspendable today
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",  # 40 bytes
        "bc1qw508D6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # mixed case
        "b\u0441" + MAINNET_ADDRESS[2:],  # a Cyrillic letter
        "bc1" + "q" * 100,
    ],
)
def test_bad_addresses_are_refused(address: str) -> None:
    """Catches money sent to an address of another chain, or to one that nobody can spend."""
    with pytest.raises(UserError):
        script_of_address(address, "bc")


@pytest.mark.parametrize(
    ("address", "hrp", "script"),
    [
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "bc",
         "76a91477bff20c60e522dfaa3350c39b030a5d004e839a88ac"),
        ("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "bc",
         "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "tb",
         "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac"),
        ("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "ltc",
         "76a91413c60d8e68d7349f5b4ca362c3954b15045061b188ac"),
        ("MGxNPPB7eBoWPUaprtX9v9CXJZoD2465zN", "ltc", None),
    ],
)
def test_base58_addresses_pay_what_they_name(address: str, hrp: str, script: str | None) -> None:
    """Catches a user of an older wallet who gets a refund, and a script that is another one's.

    The addresses are those of public documentation; the last one is known by its version only.
    """
    found = script_of_address(address, hrp)
    assert is_payable(found)
    assert script is None or found.hex() == script


def test_memo_round_trips_at_every_length() -> None:
    """Catches a wrong push opcode at 75/76 bytes, where the encoding changes."""
    for length in range(1, MAX_MEMO_BYTES + 1):
        payload = bytes(range(length))
        assert memo_of(data_script(payload)) == payload


@pytest.mark.parametrize(
    "script",
    [
        "",
        "6a",
        "6a0261",  # shorter than its push says
        "6a016162",  # something behind the push
        "6a01610162",  # two pushes
        "6a51",  # a number, not data
        "6a4c",
        "6a4d01",
        "0014" + "00" * 20,
    ],
)
def test_odd_data_scripts_hold_no_memo(script: str) -> None:
    """Catches a parser that reads past the end or takes part of a script for a memo."""
    assert memo_of(bytes.fromhex(script)) is None


def test_long_memo_is_cut_but_stays_too_long() -> None:
    """Catches a memo of thousands of bytes that is kept in memory, or cut to a valid one."""
    payload = b"x" * 5000
    script = b"\x6a\x4d" + len(payload).to_bytes(2, "little") + payload
    assert memo_of(script) == b"x" * (MAX_MEMO_BYTES + 1)


def test_payable_scripts() -> None:
    """Catches a refund to a script that nodes do not relay, which would stop the whole payout."""
    payable = [
        "76a914" + "11" * 20 + "88ac",
        "a914" + "11" * 20 + "87",
        "0014" + "11" * 20,
        "0020" + "11" * 32,
        "5120" + "11" * 32,
        "2102" + "11" * 32 + "ac",
        "2103" + "11" * 32 + "ac",
        "4104" + "11" * 64 + "ac",
    ]
    assert all(is_payable(bytes.fromhex(script)) for script in payable)
    odd = [
        "",
        "51",
        "2104" + "11" * 32 + "ac",
        "2102" + "11" * 32 + "ae",
        "2102" + "11" * 31 + "ac",
        "4106" + "11" * 64 + "ac",  # a hybrid key, which daemons relay no spending of
        "4104" + "11" * 63 + "ac",
        "5220" + "11" * 32,
        "6a20" + "11" * 32,
        "0010" + "00" * 16,
    ]
    assert not any(is_payable(bytes.fromhex(script)) for script in odd)


def test_misuse_is_a_local_fault() -> None:
    """Catches a key of the wrong length that becomes an address nobody can spend."""
    with pytest.raises(LocalFault):
        key_script(b"\x02" * 32)
    with pytest.raises(LocalFault):
        data_script(bytes(MAX_MEMO_BYTES + 1))
    with pytest.raises(LocalFault):
        address_of(b"\x76\xa9\x14" + bytes(22), "bc")
