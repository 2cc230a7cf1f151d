"""A request as bytes: one document for what is asked, whoever writes it down."""

from __future__ import annotations

import pytest

from metanode.errors import UserError
from metanode.protocol.requests.request import (
    FORMS,
    Request,
    holders_id,
    make_document,
    read_document,
    request_event,
)
from metanode.protocol.tables.view import Quorum

KEY_ID = "ab" * 32
IDS = [f"02{number:064x}" for number in (3, 1, 2)]
GIVEN: dict[str, dict[str, object]] = {
    "sign": {"key_id": KEY_ID, "digest": "cd" * 32, "holders": "ef" * 32, "label": "invoice 7"},
    "keygen": {},
    "keyrefresh": {"key_id": KEY_ID, "epoch": 4},
    "quorumchange": {
        "key_id": KEY_ID,
        "epoch": 4,
        "members": IDS,
        "threshold": 2,
        "byzantine": 0,
    },
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_request_survives_store_and_wire(kind: str) -> None:
    """Catches a field that is lost on the way, or that reads back as something else."""
    request = Request(kind, make_document(kind, GIVEN[kind]), 100, 200)
    assert Request.decode(request.encode()) == request
    assert read_document(kind, request.document) == request.fields
    again = make_document(kind, request.shown)
    assert again == request.document


def test_equal_requests_meet_in_one_event_and_others_never() -> None:
    """Catches an event that depends on who asks or when, or two requests that share one."""
    network = bytes(32)
    documents = {kind: make_document(kind, GIVEN[kind]) for kind in FORMS}
    first = Request("sign", documents["sign"], 1, 2)
    second = Request("sign", make_document("sign", {**GIVEN["sign"], "digest": "CD" * 32}), 5, 6)
    assert first.event(network) == second.event(network)
    events = {request_event(network, kind, document) for kind, document in documents.items()}
    events.add(request_event(bytes([1]) * 32, "sign", documents["sign"]))
    events.add(request_event(network, "keygen", documents["sign"]))
    for change in ({"label": ""}, {"label": "x" * 64}, {"holders": "00" * 32}):
        events.add(request_event(network, "sign", make_document("sign", GIVEN["sign"] | change)))
    assert len(events) == 9


def test_a_request_to_sign_without_a_label_has_an_empty_one() -> None:
    """Catches two documents, and so two events, for one request."""
    given = {name: value for name, value in GIVEN["sign"].items() if name != "label"}
    assert make_document("sign", given) == make_document("sign", {**given, "label": ""})


def test_holders_are_named_by_who_they_are_and_by_their_numbers() -> None:
    """F-16: catches statements of some holders that would speak for others."""
    ids = tuple(map(bytes.fromhex, IDS))
    same = {holders_id(Quorum(ids, 2, 0)), holders_id(Quorum(ids[::-1], 2, 0))}
    assert len(same) == 1
    others = [Quorum(ids, 3, 0), Quorum(ids, 2, 1), Quorum(ids[:2], 2, 0), Quorum(ids, 0, 2)]
    assert len(same | {holders_id(quorum) for quorum in others}) == 5


def test_members_are_one_set_in_whatever_order_they_are_given() -> None:
    """Catches operators who list the same nodes in another order and never meet."""
    turned = {**GIVEN["quorumchange"], "members": IDS[::-1]}
    assert make_document("quorumchange", turned) == make_document(
        "quorumchange", GIVEN["quorumchange"]
    )


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("mint", {}, "no kind of request: use one of sign"),
        ("sign", {"digest": None}, "digest is missing"),
        ("sign", {"digest": "cd" * 31}, "digest: 64 hex digits are needed"),
        ("sign", {"digest": "zz" * 32}, "digest: 64 hex digits are needed"),
        ("sign", {"digest": "cd " * 32}, "digest: 64 hex digits are needed"),
        ("sign", {"digest": 7}, "digest: 64 hex digits are needed"),
        ("sign", {"message": "x"}, "unknown field 'message': it takes key_id, digest"),
        ("sign", {"holders": None}, "holders is missing"),
        ("sign", {"label": "x" * 65}, "label: at most 64 printable ASCII characters"),
        ("sign", {"label": "x\n"}, "label: at most 64 printable"),
        ("sign", {"label": " x"}, "no space at either end"),
        ("sign", {"label": "Büro"}, "label: at most 64 printable"),
        ("sign", {"label": 7}, "label: at most 64 printable"),
        ("keygen", {"epoch": 1}, "it takes none"),
        ("keyrefresh", {"epoch": -1}, "epoch: a whole number is needed"),
        ("keyrefresh", {"epoch": True}, "epoch: a whole number is needed"),
        ("keyrefresh", {"epoch": 1.0}, "epoch: a whole number is needed"),
        ("quorumchange", {"members": []}, "members: a list of 1 to 100 node ids"),
        ("quorumchange", {"members": [IDS[0], IDS[0]]}, "a node id appears twice"),
        ("quorumchange", {"members": ["02"]}, "members: 66 hex digits are needed"),
        ("quorumchange", {"members": "02" * 33}, "members: a list of 1 to 100 node ids"),
    ],
)
def test_what_an_operator_mistypes_is_named(
    kind: str, change: dict[str, object], complaint: str
) -> None:
    """Catches a field that is guessed, cut or dropped instead of refused."""
    given = {**GIVEN.get(kind, {}), **change}
    with pytest.raises(UserError, match=complaint):
        make_document(kind, {name: value for name, value in given.items() if value is not None})
