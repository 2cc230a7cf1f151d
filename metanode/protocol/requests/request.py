"""What an operator asks for: a kind and a document, the same bytes at every node that is asked.

The event of a request is a hash of network, kind and document. So equal requests of several
operators meet in one event, and nothing else of a request is ever agreed on: when it was made, and
until when it is tried, is the business of the node that was asked.

A request to sign names the holders of the key when it is made, and only they sign it. So when too
few of them are left because the others renounced it (F-16), no later holders can sign it either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from attrs import field, frozen

from metanode.errors import Malformed, UserError
from metanode.hashing import tagged_hash
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from spec.messages import HASH_OCTETS, MEMBERS_LIMIT, NODE_ID_OCTETS

MAX_NUMBER = 1 << 32
LABEL_CHARACTERS = 64
NEW_SHARES = ("keyrefresh", "quorumchange")
"""The kinds of request that ask for new shares of the key."""

NO_KEY = "there is no key yet: `keygen` makes one, `status` shows it"


@frozen
class Request:
    """One request as it is kept: ``document`` is canonical CBOR; times in unix seconds."""

    kind: str
    document: bytes = field(repr=False)
    made: int
    expires: int

    def event(self, network_id: bytes) -> bytes:
        """Return the 32-byte id of its event."""
        return request_event(network_id, self.kind, self.document)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What is asked for: bytes, numbers, a list of node ids."""
        plain: dict[str, Any] = decode_canonical(self.document)
        return plain

    def names(self, quorum: Quorum) -> bool:
        """Return whether these are the holders that a request to sign is put to."""
        return bool(self.fields["holders"] == holders_id(quorum))

    def is_met_by(self, key: KeyEpoch) -> bool:
        """Return whether the epoch in force is what a request for the key asks for, or as good."""
        asked = self.fields
        if self.kind not in NEW_SHARES:
            return self.kind == "keygen"
        now = (list(key.roster), key.threshold, key.byzantine)
        same = self.kind == "keyrefresh" or now == (
            asked["members"], asked["threshold"], asked["byzantine"]
        )
        return bool(key.number > asked["epoch"] and same)

    @property
    def shown(self) -> dict[str, Any]:
        """The same with every id in hex, as an operator reads and writes it."""
        return {name: _show(value) for name, value in self.fields.items()}

    def encode(self) -> bytes:
        """Return the canonical CBOR that is kept in store."""
        return encode_canonical(
            {
                "document": self.document,
                "expires": self.expires,
                "kind": self.kind,
                "made": self.made,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Request:
        """Read what :meth:`encode` wrote; Malformed for anything else."""
        plain = decode_canonical(data)
        names = ("kind", "document", "made", "expires")
        if not isinstance(plain, dict) or sorted(plain) != sorted(names):
            raise Malformed("a stored request has other fields")
        kind, document, made, expires = (plain[name] for name in names)
        if type(kind) is not str or type(document) is not bytes:
            raise Malformed("a stored request has fields of other types")
        if type(made) is not int or type(expires) is not int:
            raise Malformed("a stored request has no times")
        read_document(kind, document)
        return cls(kind, document, made, expires)


def request_event(network_id: bytes, kind: str, document: bytes) -> bytes:
    """Return the event id of what is asked for; no other kind of event has the same."""
    return tagged_hash("request", network_id, kind.encode("utf-8"), document)


def holders_id(quorum: Quorum) -> bytes:
    """Return the 32-byte name of the holders of a key with t and f; equal in every epoch."""
    numbers = (quorum.threshold.to_bytes(8, "big"), quorum.faulty.to_bytes(8, "big"))
    return tagged_hash("holders", *numbers, *sorted(quorum.holders))


def read_document(kind: str, document: bytes) -> dict[str, Any]:
    """Return the fields of a request's document; Malformed unless it is one of its kind."""
    plain = decode_canonical(document)
    forms = FORMS.get(kind)
    if forms is None or not isinstance(plain, dict) or set(plain) != set(forms):
        raise Malformed("no document of a request")
    for name, form in forms.items():
        try:
            same = form(_show(plain[name])) == plain[name]
        except ValueError as fault:
            raise Malformed(f"{name} of a request: {fault}") from fault
        if not same:
            raise Malformed(f"{name} of a request is not in its one form")
    return plain


def make_document(kind: str, given: Mapping[str, object]) -> bytes:
    """Return the document of a request as an operator writes it: ids and digests in hex.

    UserError names the first field that is missing, unknown or of another form; a request to sign
    has no label unless one is given.
    """
    forms = FORMS.get(kind)
    if forms is None:
        raise UserError(f"{kind[:32]!r} is no kind of request: use one of {', '.join(FORMS)}")
    strange = sorted(set(given) - set(forms))
    if strange:
        raise UserError(f"{kind}: unknown field {strange[0][:32]!r}: it takes {_names(forms)}")
    given = {**({"label": ""} if "label" in forms else {}), **given}
    found: dict[str, Any] = {}
    for name, form in forms.items():
        if name not in given:
            raise UserError(f"{kind}: {name} is missing: it takes {_names(forms)}")
        try:
            found[name] = form(given[name])
        except ValueError as fault:
            raise UserError(f"{kind}: {name}: {fault}") from fault
    return encode_canonical(found)


def _names(forms: Mapping[str, object]) -> str:
    return ", ".join(forms) or "none"


def _show(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return [_show(item) for item in value] if isinstance(value, list) else value


def _octets(size: int) -> Callable[[object], bytes]:
    def read(value: object) -> bytes:
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        # fromhex skips spaces, so the length of the text counts as well.
        if len(data) != size or len(str(value)) != 2 * size:
            raise ValueError(f"{2 * size} hex digits are needed")
        return data

    return read


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise ValueError("a whole number is needed")
    return value


def _label(value: object) -> str:
    text = value if isinstance(value, str) else "\n"
    plain = text.isascii() and text.isprintable() and text == text.strip()
    if not plain or len(text) > LABEL_CHARACTERS:
        raise ValueError(
            f"at most {LABEL_CHARACTERS} printable ASCII characters, no space at either end"
        )
    return text


def _members(value: object) -> list[bytes]:
    if not isinstance(value, list) or not 0 < len(value) <= MEMBERS_LIMIT:
        raise ValueError(f"a list of 1 to {MEMBERS_LIMIT} node ids is needed")
    ids = sorted(_octets(NODE_ID_OCTETS)(item) for item in value)
    if len(set(ids)) != len(ids):
        raise ValueError("a node id appears twice")
    return ids


_HASH = _octets(HASH_OCTETS)
FORMS: Mapping[str, Mapping[str, Callable[[object], object]]] = {
    "sign": {"key_id": _HASH, "digest": _HASH, "holders": _HASH, "label": _label},
    "keygen": {},
    "keyrefresh": {"key_id": _HASH, "epoch": _number},
    "quorumchange": {
        "key_id": _HASH,
        "epoch": _number,
        "members": _members,
        "threshold": _number,
        "byzantine": _number,
    },
}
"""Kind → field → how it is read; ids and digests are 32 octets, node ids 33."""
