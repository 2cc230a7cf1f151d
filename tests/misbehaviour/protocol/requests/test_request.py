"""Documents of requests that peers and damaged stores make up: refused, never guessed at."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.errors import Malformed
from metanode.protocol.requests.request import Request, make_document, read_document
from metanode.protocol.wire.codec import encode_canonical
from tests.protocol.requests.test_request import GIVEN

SIGN = make_document("sign", GIVEN["sign"])
FIELDS = {
    "key_id": bytes([0xAB]) * 32,
    "digest": bytes([0xCD]) * 32,
    "holders": bytes([0xEF]) * 32,
    "label": "",
}
QUORUM = {
    "key_id": bytes(32),
    "epoch": 1,
    "members": [bytes([2]) + bytes(32), bytes([3]) + bytes(32)],
    "threshold": 2,
    "byzantine": 0,
}


def test_the_real_documents_are_read() -> None:
    """Catches cases below that are refused for another reason than the one they are about."""
    assert read_document("sign", encode_canonical(FIELDS)) == FIELDS
    assert read_document("quorumchange", encode_canonical(QUORUM)) == QUORUM


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("sign", {}),
        ("sign", [FIELDS["key_id"], FIELDS["digest"]]),
        ("sign", {**FIELDS, "amount": 1}),
        ("sign", {"key_id": FIELDS["key_id"]}),
        ("sign", {n: v for n, v in FIELDS.items() if n != "label"}),
        ("sign", {**FIELDS, "label": b""}),
        ("sign", {**FIELDS, "label": "x" * 65}),
        ("sign", {**FIELDS, "label": "x "}),
        ("sign", {**FIELDS, "label": "\u202e"}),
        ("sign", {**FIELDS, "holders": "ef" * 32}),
        ("sign", {**FIELDS, "digest": bytes(31)}),
        ("sign", {**FIELDS, "digest": "cd" * 32}),
        ("sign", {**FIELDS, "digest": [1]}),
        ("sign", {**FIELDS, "digest": {"cd": 1}}),
        ("sign", {**FIELDS, "digest": None}),
        ("mint", FIELDS),
        ("keygen", FIELDS),
        ("quorumchange", {**QUORUM, "members": QUORUM["members"][::-1]}),
        ("quorumchange", {**QUORUM, "members": [QUORUM["members"][0]] * 2}),
        ("quorumchange", {**QUORUM, "members": ["02" * 33]}),
        ("quorumchange", {**QUORUM, "epoch": True}),
        ("quorumchange", {**QUORUM, "threshold": 1 << 40}),
    ],
)
def test_a_document_of_another_form_is_refused(kind: str, plain: Any) -> None:
    """Catches a document with two readings: two events for one thing, or one for two."""
    with pytest.raises(Malformed):
        read_document(kind, encode_canonical(plain))


@pytest.mark.parametrize("cut", range(len(SIGN)))
def test_a_truncated_document_is_refused(cut: int) -> None:
    """Catches a reader that takes what is there."""
    with pytest.raises(Malformed):
        read_document("sign", SIGN[:cut])
    with pytest.raises(Malformed):
        read_document("sign", SIGN + SIGN[cut:])


STORED = {"kind": "sign", "document": SIGN, "made": 1, "expires": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 1},
        {"kind": "mint"},
        {"document": "text"},
        {"document": b""},
        {"made": None},
        {"expires": b"2"},
        {"more": 1},
    ],
)
def test_a_damaged_request_in_store_is_refused(change: dict[str, Any]) -> None:
    """Catches a node that starts with a request that nobody made."""
    assert Request.decode(encode_canonical(STORED)).made == 1
    with pytest.raises(Malformed):
        Request.decode(encode_canonical({**STORED, **change}))
