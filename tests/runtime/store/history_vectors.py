"""The conformity vectors of the signing history; ``python -m tests.runtime.store.history_vectors``.

Writes ``spec/vectors/history/accepted.json`` and ``refused.json``. What a case expects is written
out here by hand, never taken from the code under test; only the signatures inside certificates are
computed (RFC 6979, so that the files come out the same each time).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metanode.identity import Identity
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from spec import messages as m

DIRECTORY = Path(__file__).resolve().parents[3] / "spec" / "vectors" / "history"
NETWORK, OTHER_NETWORK = bytes([0x4E]) * 32, bytes([0x4F]) * 32
NODES = sorted((Identity.from_secret(s) for s in (1, 2, 3, 4)), key=lambda i: i.node_id)
ME = NODES[0]
E1, E2 = "e1" * 32, "e2" * 32
D1, D2, D3 = "d1" * 32, "d2" * 32, "d3" * 32
S1, S2 = "51" * 32, "52" * 32
CODEC = Codec(m.MESSAGES)
TOP = 2**63 - 1

Plain = dict[str, Any]


def certificate(
    attempt: int,
    digest: str,
    *,
    event: str = E1,
    voters: Sequence[int] = (0, 1, 2),
    members: Sequence[int] | None = None,
    network: bytes = NETWORK,
    forged: bool = False,
) -> str:
    """Return a BEGIN with real votes of the nodes with these numbers; node 0 is "this node"."""
    named = tuple(NODES[i].node_id for i in (voters if members is None else members))
    vote = m.Vote(1, bytes.fromhex(event), attempt, bytes.fromhex(digest), named)
    body = CODEC.encode(vote)
    signed = []
    for number in voters:
        who = NODES[number]
        signature = who.sign(SIGNATURE_TAG, network, who.node_id, body)
        if forged and number == voters[-1]:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        signed.append(m.SignedVote(who.node_id, signature))
    made = m.Certificate(1, vote.event, attempt, vote.digest, named, tuple(signed))
    return CODEC.encode(m.Begin(made)).hex()


def lock(attempt: int, digest: str, **how: Any) -> Plain:
    """Return a lock with its certificate."""
    return {
        "attempt": str(attempt),
        "digest": digest,
        "certificate": certificate(attempt, digest, **how),
        "document": digest[:16],
    }


def event(
    votes: dict[int, str], held: Plain | None = None, released: Sequence[str] = (), name: str = E1
) -> Plain:
    """Return what a history says of one event; ``votes`` maps an attempt to its digest."""
    listed = [{"attempt": str(a), "digest": d} for a, d in votes.items()]
    return {"event": name, "votes": listed, "lock": held, "released": list(released)}


def history(*events: Plain, sessions: Sequence[str] = ()) -> Plain:
    """Return a whole file of this node."""
    return {
        "metadata": {"interchange_format_version": "1", "network_id": NETWORK.hex()},
        "data": [
            {
                "node_id": ME.node_id.hex(),
                "events": list(events),
                "sessions_used": list(sessions),
            }
        ],
    }


def may_vote(
    attempt: int, digest: str, allowed: bool, rule: str = "", *, shown: Any = (), of: str = E1
) -> Plain:
    """Ask for a vote; ``shown`` are (attempt, digest) of certificates the node was shown."""
    question: Plain = {"event": of, "attempt": str(attempt), "digest": digest}
    if shown:
        question["shown"] = [{"attempt": str(a), "digest": d} for a, d in shown]
    return {"may": "vote", **question, **_answer(allowed, rule)}


def may_lock(attempt: int, digest: str, allowed: bool, rule: str = "") -> Plain:
    """Ask for a lock, with a certificate for just this."""
    question = {"event": E1, "attempt": str(attempt), "digest": digest}
    return {"may": "lock", **question, **_answer(allowed, rule)}


def may_release(attempt: int, digest: str, session: str, allowed: bool, rule: str = "") -> Plain:
    """Ask for the first signing message of a session."""
    question = {"event": E1, "attempt": str(attempt), "digest": digest, "session": session}
    return {"may": "release", **question, **_answer(allowed, rule)}


def _answer(allowed: bool, rule: str) -> Plain:
    return {"allowed": True} if allowed else {"allowed": False, "rule": rule}


FULL = history(event({3: D1, 4: D1}, lock(3, D1), [D1]), sessions=[S1])
EMPTY = history()


def _source(file: Plain | str) -> Plain:
    return {"file_text": file} if isinstance(file, str) else {"file": file}


def accepted(
    name: str, why: str, initial: Plain, file: Plain | str, resulting: Plain, *queries: Plain
) -> Plain:
    """Return a case in which the file is taken in."""
    case = {"name": name, "why": why, "initial": initial, **_source(file)}
    return {**case, "resulting": resulting, "queries": list(queries)}


def refused(name: str, why: str, file: Plain | str, reason: str) -> Plain:
    """Return a case in which the file is refused and the history stays FULL."""
    return {"name": name, "why": why, **_source(file), "reason": reason}


def accepted_cases() -> Iterator[Plain]:
    """Yield the cases with a good file."""
    yield from _plain_cases()
    yield from _lock_cases()
    yield from _vote_cases()


def _plain_cases() -> Iterator[Plain]:
    yield accepted(
        "empty", "nothing and nothing is nothing", EMPTY, EMPTY, EMPTY, may_vote(0, D1, True)
    )
    yield accepted(
        "first_import",
        "every kind of mark is taken over",
        EMPTY,
        FULL,
        FULL,
        may_vote(3, D1, True),
        may_vote(3, D2, False, "first_vote"),
        may_vote(4, D2, False, "first_vote"),
        may_vote(5, D1, True),
        may_vote(5, D2, False, "lock_permits"),
        may_lock(3, D2, False, "may_lock"),
        may_lock(2, D2, False, "may_lock"),
        may_lock(5, D1, True),
        may_release(3, D1, S2, True),
        may_release(3, D1, S1, False, "instance_used"),
        may_release(3, D2, S2, False, "lock"),
        may_vote(3, D2, True, of=E2),
    )
    yield accepted("same_again", "importing twice changes nothing", FULL, FULL, FULL)
    yield accepted(
        "nothing_is_taken_back",
        "an empty file forgets nothing",
        FULL,
        EMPTY,
        FULL,
        may_vote(3, D2, False, "first_vote"),
        may_release(3, D1, S1, False, "instance_used"),
    )


def _lock_cases() -> Iterator[Plain]:
    older = history(event({1: D2}, lock(1, D2), [D2]), sessions=[S2])
    united = history(event({1: D2, 3: D1, 4: D1}, lock(3, D1), [D1, D2]), sessions=[S1, S2])
    queries = (
        may_vote(1, D1, False, "first_vote"),
        may_vote(5, D2, False, "lock_permits"),
        may_vote(5, D2, True, shown=[(4, D2)]),
        may_vote(5, D2, False, "lock_permits", shown=[(3, D2), (5, D2)]),
        may_lock(2, D2, False, "may_lock"),
        may_release(3, D1, S2, False, "instance_used"),
    )
    yield accepted(
        "older_lock_stays_out",
        "the lock of the higher attempt counts, what was released under the older one is kept",
        FULL,
        older,
        united,
        *queries,
    )
    yield accepted(
        "newer_lock_moves_forward",
        "the same two histories the other way round end the same",
        older,
        FULL,
        united,
        *queries,
    )
    other_voters = lock(3, D1, voters=(0, 2, 3))
    yield accepted(
        "first_certificate_stays",
        "two certificates of one attempt are worth the same: the one at hand is kept",
        FULL,
        history(event({3: D1}, other_voters)),
        FULL,
    )
    yield accepted(
        "all_members_asked",
        "a coordinator asks four, the first three votes are the certificate",
        EMPTY,
        history(event({3: D1}, lock(3, D1, members=(0, 1, 2, 3)))),
        history(event({3: D1}, lock(3, D1, members=(0, 1, 2, 3)))),
    )


def _vote_cases() -> Iterator[Plain]:
    yield accepted(
        "vote_forbids_lower_lock",
        "a vote for another digest in a higher attempt is a promise not to lock below it",
        EMPTY,
        history(event({8: D2})),
        history(event({8: D2})),
        may_lock(7, D1, False, "may_lock"),
        may_lock(7, D2, True),
        may_lock(9, D1, True),
        may_vote(7, D1, True),
        may_vote(8, D1, False, "first_vote"),
    )
    yield accepted(
        "votes_interleave",
        "votes are united attempt by attempt, not from the highest on",
        history(event({0: D1, 2: D3})),
        history(event({1: D2, 3: D1})),
        history(event({0: D1, 1: D2, 2: D3, 3: D1})),
        *(may_vote(a, D1, a in (0, 3, 4), "first_vote") for a in range(5)),
    )
    yield accepted(
        "events_are_apart",
        "marks of one event say nothing of another",
        FULL,
        history(event({3: D2}, name=E2)),
        history(event({3: D1, 4: D1}, lock(3, D1), [D1]), event({3: D2}, name=E2), sessions=[S1]),
        may_vote(3, D2, True, of=E2),
        may_vote(3, D1, False, "first_vote", of=E2),
        may_vote(4, D2, True, of=E2),
    )
    ends = history(event({0: D1, TOP: D2}))
    yield accepted(
        "first_and_last_attempt",
        "attempts go from 0 to 2^63 - 1",
        EMPTY,
        ends,
        ends,
        may_vote(TOP, D1, False, "first_vote"),
        may_vote(0, D2, False, "first_vote"),
    )
    turned = history(event({4: D1, 3: D1}, lock(3, D1), [D1]), sessions=[S1])
    yield accepted(
        "order_and_spacing",
        "lists have no order and JSON any spacing",
        EMPTY,
        json.dumps(turned, sort_keys=True, indent=7).replace("\n", "\r\n"),
        FULL,
    )


def changed(path: str, value: Any) -> Plain:
    """Return FULL with one place changed; ``...`` as the value removes it."""
    document = json.loads(json.dumps(FULL))
    *way, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    place = document
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def refused_cases() -> Iterator[Plain]:
    """Yield the cases with a bad file."""
    yield from _text_cases()
    first = "data/0/events/0"
    places = {
        "node_id": ("data/0/node_id", NODES[1].node_id.hex(), "another node"),
        "network": ("metadata/network_id", OTHER_NETWORK.hex(), "another network"),
        "version": ("metadata/interchange_format_version", "2", "version '2'"),
        "version_number": ("metadata/interchange_format_version", 1, "bare number"),
        "unknown_key": (f"{first}/comment", "", "unknown key 'comment'"),
        "unknown_metadata": ("metadata/by", "", "unknown key 'by'"),
        "missing_lock": (f"{first}/lock", ..., "key 'lock' is missing"),
        "missing_sessions": ("data/0/sessions_used", ..., "key 'sessions_used' is missing"),
        "missing_metadata": ("metadata", ..., "key 'metadata' is missing"),
        "no_record": ("data", [], "0 records"),
        "two_records": ("data", FULL["data"] * 2, "2 records"),
        "record_is_text": ("data/0", "x", "an object is needed"),
        "votes_is_null": (f"{first}/votes", None, "a list is needed"),
        "attempt_number": (f"{first}/votes/0/attempt", 3, "bare number"),
        "attempt_too_large": (f"{first}/votes/0/attempt", str(TOP + 1), "attempt must be"),
        "attempt_negative": (f"{first}/votes/0/attempt", "-1", "attempt must be"),
        "attempt_leading_zero": (f"{first}/votes/0/attempt", "03", "attempt must be"),
        "attempt_empty": (f"{first}/votes/0/attempt", "", "attempt must be"),
        "attempt_other_digits": (f"{first}/votes/0/attempt", "\u0663", "attempt must be"),
        "hex_upper_case": (f"{first}/votes/0/digest", D1.upper(), "lower-case hex"),
        "hex_prefix": (f"{first}/votes/0/digest", "0x" + D1[2:], "lower-case hex"),
        "hex_odd": (f"{first}/votes/0/digest", D1[1:], "lower-case hex"),
        "hex_blank": (f"{first}/votes/0/digest", " " + D1[1:], "lower-case hex"),
        "hash_short": (f"{first}/votes/0/digest", D1[2:], "32 octets are needed"),
        "hash_long": (f"{first}/event", E1 + "00", "32 octets are needed"),
        "session_twice": ("data/0/sessions_used", [S1, S1], "stands twice"),
        "released_twice": (f"{first}/released", [D1, D1], "stands twice"),
        "event_twice": ("data/0/events", FULL["data"][0]["events"] * 2, "two votes in attempt"),
    }
    for name, (path, value, reason) in places.items():
        yield refused(name, "the form of the file", changed(path, value), reason)
    yield from _impossible_cases()


def _text_cases() -> Iterator[Plain]:
    text = json.dumps(FULL)
    once = '"released": '
    texts = {
        "no_text": ("", "no JSON"),
        "not_json": ("history\n", "no JSON"),
        "cut_short": (text[: len(text) // 2], "no JSON"),
        "trailing_text": (text + "{}", "no JSON"),
        "a_list": (f"[{text}]", "an object is needed"),
        "key_twice": (text.replace(once, f"{once}[], {once}"), "key 'released' stands twice"),
        "not_a_number": (text.replace('"4"', "NaN"), "bare number"),
        "fraction": (text.replace('"4"', "4.0"), "bare number"),
    }
    for name, (changed_text, reason) in texts.items():
        yield refused(name, "the form of the file", changed_text, reason)


def _impossible_cases() -> Iterator[Plain]:
    """Yield files that are well formed and that no honest node can have."""
    good = lock(5, D1)
    whys = {
        "conflicting_vote": (history(event({3: D2})), "two votes in attempt 3"),
        "vote_twice": (changed("data/0/events/0/votes/1/attempt", "3"), "two votes in attempt 3"),
        "event_without_votes_twice": (history(event({}), event({})), "stands twice"),
        "release_without_lock": (history(event({5: D1}, None, [D1])), "released without a lock"),
        "release_without_vote": (history(event({5: D1}, good, [D2])), "without a vote for it"),
        "lock_without_vote": (history(event({6: D1}, good)), "without this node's vote for it"),
        "lock_against_vote": (history(event({5: D2}, good)), "without this node's vote for it"),
    }
    certificates = {
        "certificate_of_another_event": (certificate(5, D1, event=E2), "about something else"),
        "certificate_of_another_attempt": (certificate(4, D1), "about something else"),
        "certificate_of_another_digest": (certificate(5, D2), "about something else"),
        "certificate_of_others": (certificate(5, D1, voters=(1, 2, 3)), "lacks this node's vote"),
        "certificate_forged": (certificate(5, D1, forged=True), "signature is wrong"),
        "certificate_of_another_network": (
            certificate(5, D1, network=OTHER_NETWORK),
            "signature is wrong",
        ),
        "certificate_voter_twice": (certificate(5, D1, voters=(0, 1, 1)), "appears twice"),
        "certificate_stranger": (
            certificate(5, D1, voters=(0, 1, 3), members=(0, 1, 2)),
            "not in the roster",
        ),
        "certificate_minority": (
            certificate(5, D1, voters=(0, 1), members=(0, 1, 2, 3)),
            "2 votes, 3 are needed",
        ),
        "certificate_empty": ("", "not readable"),
        "certificate_cut_short": (good["certificate"][:-2], "not readable"),
        "certificate_longer": (good["certificate"] + "00", "not readable"),
        "certificate_other_message": (CODEC.encode(m.Ready()).hex(), "another message"),
    }
    for name, (data, reason) in certificates.items():
        whys[name] = (history(event({5: D1}, {**good, "certificate": data})), reason)
    for name, (file, reason) in whys.items():
        yield refused(name, "no honest node has this history", file, reason)


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file."""
    owner = {"network_id": NETWORK.hex(), "node_id": ME.node_id.hex()}
    documents = {
        "accepted.json": {**owner, "cases": list(accepted_cases())},
        "refused.json": {**owner, "initial": FULL, "cases": list(refused_cases())},
    }
    for name, document in documents.items():
        yield name, json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    for name, text in files():
        (DIRECTORY / name).write_text(text, encoding="ascii")
