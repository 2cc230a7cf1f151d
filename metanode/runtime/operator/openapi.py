"""The description of the admin port, as OpenAPI 3.1: what is served at ``/openapi.json``.

It is data beside the code that it describes; tests ask a real port for everything in it, and hold
what is answered against the schemas.
"""

from __future__ import annotations

from typing import Any, Final

from metanode import __version__
from spec.protocol import PROTOCOL

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NUMBER: Final[Schema] = {"type": "number"}
YES_NO: Final[Schema] = {"type": "boolean"}
HEX: Final[Schema] = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
NODE_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{66}$"}
OUTPOINT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}:[0-9]+$"}
ANY_OBJECT: Final[Schema] = {"type": "object"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _object(open_: bool = True, **members: Schema) -> Schema:
    """Return the schema of an object that has all these members, and maybe others."""
    return {
        "type": "object", "properties": members, "required": sorted(members),
        "additionalProperties": open_,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_NUMBERED: Final = _object(node_id=NODE_ID, reason=TEXT, until=COUNT)
_PEER: Final = _object(
    node_id=NODE_ID, listing=TEXT, phase=TEXT, health=TEXT, standing=TEXT, stake=TEXT,
    last_ping_s=NUMBER, linked=YES_NO, self=YES_NO, weight=COUNT, online=YES_NO, principal=YES_NO,
)
_PAYOUT: Final = _object(
    event=HEX, txid=HEX, version=COUNT, versions=COUNT,
    state={"enum": list(PROTOCOL.machines["payout"].states)}, digest=HEX, signers=_list(NODE_ID),
    transfers=_list(OUTPOINT), inputs=COUNT, outputs=COUNT, reason=TEXT,
)
_STATUS: Final = _object(
    node_id=NODE_ID, phase={"enum": list(PROTOCOL.machines["peer"].states)}, round=COUNT,
    periods=_object(round_s=NUMBER, keygen_slot_s=NUMBER, regroup_s=NUMBER),
    links=_list(NODE_ID), peers=_list(_PEER), health=TEXT,
    stake=_object(outpoint=TEXT, amount=_or_null(COUNT), height=_or_null(COUNT),
                  spent_at=_or_null(COUNT), state={"enum": ["good", "spent", "unknown"]}),
    weight=_object(online_percent=NUMBER, minimum_percent=NUMBER, known=YES_NO),
    key=_or_null(_object(
        slot=COUNT, epoch=COUNT, key_id=HEX, public_key=HEX, custody_address=TEXT, threshold=COUNT,
        byzantine=COUNT, roster=_list(NODE_ID), holds_share=YES_NO,
    )),
    regroup=ANY_OBJECT, keys=ANY_OBJECT, keygen=ANY_OBJECT, payouts=_list(_PAYOUT),
    sightings=_list(_object(outpoint=OUTPOINT, witnesses=COUNT)),
    deposits=_list(_object(
        outpoint=OUTPOINT, amount=COUNT, height=COUNT, waits_for=TEXT, reason=TEXT,
    )),
    swaps=_list(_object(swap=HEX, state=TEXT)),
    chain=_or_null(_object(height=COUNT, block=HEX)), chain_fault=_or_null(TEXT),
    port=COUNT, started=NUMBER, uptime_s=NUMBER, frames_in=COUNT, frames_out=COUNT,
    refused={"type": "object", "additionalProperties": COUNT},
    address=ANY_OBJECT, names=ANY_OBJECT, endpoints=ANY_OBJECT,
    exclusions=_list(_object(who=TEXT, points=NUMBER, why=TEXT, at=COUNT, until=_or_null(COUNT),
                             link=TEXT)),
    blocked=_list(_NUMBERED), trace=_object(seq=COUNT, hash=_or_null(TEXT)),
    recent=_list(_object(at=NUMBER, event=TEXT)),
)
_EVENT: Final = _object(
    event=HEX, kind=TEXT, status={"enum": list(PROTOCOL.machines["event"].states)},
    age_s=_or_null(COUNT), attempts=COUNT, attempt=_or_null(ANY_OBJECT), lock=_or_null(ANY_OBJECT),
)
_READINESS: Final = _object(ready=YES_NO, reasons=_list(_object(code=TEXT, text=TEXT)))
_VIEW: Final = _object(
    at=NUMBER, version=TEXT,
    nodes=_list(_object(
        name=TEXT, node_id=NODE_ID, fault=_or_null(TEXT), run=COUNT, last=COUNT,
        status=_or_null(_ref("Status")), readiness=_or_null(_ref("Readiness")),
        moves=_list(_object(number=COUNT, at=NUMBER, kind={"enum": ["phase", "round", "sample"]})),
    )),
)
SCHEMAS: Final = {
    "Status": _STATUS, "Event": _EVENT, "Readiness": _READINESS, "View": _VIEW,
    "Error": _object(open_=False, error=TEXT),
    "Events": _object(events=_list(_ref("Event"))),
    "Blame": _object(records=_list(ANY_OBJECT),
                     bans=_list(_object(node_id=NODE_ID, epoch=COUNT, since=NUMBER))),
    "Held": _object(coins=_list(ANY_OBJECT), change=_list(ANY_OBJECT), count=COUNT, total=COUNT,
                    change_count=COUNT, change_total=COUNT, fee_rate=COUNT),
    "Peers": _object(peers=_list(_object(node_id=NODE_ID)), waiting=_list(TEXT)),
    "Request": {
        **_object(kind={"enum": ["sign", "keygen", "keyrefresh", "quorumchange"]}),
        "properties": {
            "kind": {"enum": ["sign", "keygen", "keyrefresh", "quorumchange"]},
            "check": YES_NO, "key_id": HEX, "digest": HEX, "label": TEXT,
        },
    },
    "Release": _object(step={"enum": ["check", "ask", "send"]}),
    "Pardon": _object(open_=False, node_id=NODE_ID),
    "PeerAction": _object(open_=False, do={"enum": ["add", "drop", "pardon"]}, peer=TEXT),
}

_GET: Final = {
    "/": ("page", "The page to look at; it shows nothing without the token.", "text/html", None),
    "/livez": ("livez", "Whether the node moves; 503 if it hangs.", None,
               _object(alive=YES_NO, idle_s=NUMBER)),
    "/readyz": ("readyz", "Whether the node can take part in signing; 503 with the reasons if not.",
                None, _ref("Readiness")),
    "/openapi.json": ("openapi", "This document.", None, ANY_OBJECT),
    "/status": ("status", "What the node says of itself.", None, _ref("Status")),
    "/metrics": ("metrics", "The metrics, for Prometheus.", "text/plain", None),
    "/view": ("view", "What the page shows, with all movements that are kept.", None,
              _ref("View")),
    "/view/{since}": ("viewSince", "The same, with the movements after a number.", None,
                      _ref("View")),
    "/feed": ("feed", "What the page shows, as server-sent events, until the reader is gone.",
              "text/event-stream", None),
    "/events": ("events", "What the node was asked for and has decided.", None, _ref("Events")),
    "/events/{event}": ("event", "One event.", None, _ref("Event")),
    "/blame": ("blame", "Who cheated in a run.", None, _ref("Blame")),
    "/held": ("held", "The coins that no round pays.", None, _ref("Held")),
    "/peers": ("peers", "The peers, and what the operator said of them.", None, _ref("Peers")),
}
"""Path → operation, what it is, type (None: JSON) and schema of the answer."""

_POST: Final = {
    "/requests": ("ask", "Ask the node for a signature, a key or new shares.", "Request"),
    "/releases": ("release", "Check, ask for, or send a release of held coins.", "Release"),
    "/pardon": ("pardon", "Lift a ban.", "Pardon"),
    "/peers": ("peersAct", "Add, drop or pardon a peer.", "PeerAction"),
}
PUBLIC: Final = ("/", "/livez", "/readyz", "/openapi.json")
"""What is answered without the token."""

_PARAMETERS: Final = {
    "/view/{since}": ("since", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}),
    "/events/{event}": ("event", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
}


def _answer(text: str, schema: Schema | None, kind: str | None = None) -> Schema:
    content = {"schema": schema or TEXT}
    return {"description": text, "content": {kind or "application/json": content}}


def _errors(*codes: int) -> Schema:
    texts = {
        400: "What was sent is refused, with the reason.", 401: "The token is missing or wrong.",
        403: "The token only reads.", 404: "There is nothing there.",
        405: "The method is not answered here.", 413: "The body is too long.",
        503: "So many look already that no more may.",
    }
    return {str(code): _answer(texts[code], _ref("Error")) for code in codes}


def _operation(path: str) -> Schema:
    name, text, kind, schema = _GET[path]
    told: Schema = {
        "operationId": name, "summary": text,
        "responses": {"200": _answer("It is there.", schema, kind), **_errors(400)},
    }
    if path in PUBLIC:
        told["security"] = []
    else:
        told["responses"] |= _errors(401)
    if path in ("/livez", "/readyz"):
        told["responses"]["503"] = _answer("It is not so.", schema)
    if path == "/feed":
        told["responses"] |= _errors(503)
    if path in _PARAMETERS:
        parameter, wanted = _PARAMETERS[path]
        told["parameters"] = [
            {"name": parameter, "in": "path", "required": True, "schema": wanted}
        ]
        told["responses"] |= _errors(404)
    return told


def _action(path: str) -> Schema:
    name, text, body = _POST[path]
    return {
        "operationId": name, "summary": text,
        "requestBody": {
            "required": True, "content": {"application/json": {"schema": _ref(body)}},
        },
        "responses": {
            "200": _answer("It is done, and on disk.", ANY_OBJECT), **_errors(400, 401, 403, 413),
        },
    }


def document() -> Schema:
    """Return the whole document."""
    paths: dict[str, Schema] = {path: {"get": _operation(path)} for path in _GET}
    for path in _POST:
        paths.setdefault(path, {})["post"] = _action(path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The admin port of a metanode", "version": __version__,
            "description": "On loopback only. The token stands in admin.json of the home, which "
                           "only the node's user can read; it is another one after each start. "
                           "The token in the page's address only reads.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": SCHEMAS,
        },
    }
