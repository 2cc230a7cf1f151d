"""Values that the runtime tests share."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

from metanode.runtime.home.config import Config, parse_config
from metanode.runtime.secrets.keystore import LIGHT, Keystore, Passphrase

ROOT = Path(__file__).resolve().parents[2]
NODE_ID = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
SECRET_TEXT = b"correct horse battery staple"
PASSPHRASE = Passphrase(SECRET_TEXT)

DOCUMENT: dict[str, Any] = {
    "network": {
        "name": "trial",
        "preset": "devnet",
        "members": 4,
        "threshold": 3,
        "byzantine": 1,
        "keygen_until": 1_800_000_000,
    },
    "node": {"listen": "127.0.0.1:7000", "peers": ["127.0.0.1:7001", "[::1]:7002"]},
    "stake": {"outpoint": "ab" * 32 + ":1", "minimum": 1_000_000},
    "chain": {
        "kind": "bitcoin",
        "hrp": "bcrt",
        "rpc_url": "http://127.0.0.1:18443",
        "confirmations": 1,
        "birth_height": 0,
    },
}


def document(path: str = "", value: Any = None) -> dict[str, Any]:
    """Return a good configuration with one key set to ``value`` (``...`` removes it)."""
    changed = copy.deepcopy(DOCUMENT)
    if path:
        *sections, key = path.split(".")
        place = changed
        for section in sections:
            place = place.setdefault(section, {})
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return changed


def config(path: str = "", value: Any = None) -> Config:
    """Return the parsed form of :func:`document`."""
    return parse_config(document(path, value), "config.toml")


def keystore(directory: Path) -> Keystore:
    """Return a keystore with the cheap KDF."""
    return Keystore(directory, PASSPHRASE, LIGHT)


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that can import the project; its standard output is a pipe of text."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
