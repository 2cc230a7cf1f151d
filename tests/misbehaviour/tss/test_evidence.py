"""Evidence before a stranger: cheaters are convicted, nobody else ever is, whatever is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import cbor2
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss import dealing_run, sign_run
from metanode.tss.abort import RULES, AbortKind, Evidence, Slot
from metanode.tss.evidence import proves
from metanode.tss.messages import Message
from metanode.tss.public_run import Fault, Shown
from metanode.tss.session import TWO_MESSAGES, Session
from tests.misbehaviour.tss.cases import CHEATER, VICTIM, Case, tamper_with
from tests.misbehaviour.tss.test_keygen import ROUNDS as KEYGEN_ROUNDS
from tests.misbehaviour.tss.test_keygen import TABLE as KEYGEN_TABLE
from tests.misbehaviour.tss.test_lane import DIGESTS as LANES_DIGESTS
from tests.misbehaviour.tss.test_lane import ROUNDS as LANES_ROUNDS
from tests.misbehaviour.tss.test_lane import TABLE as LANES_TABLE
from tests.misbehaviour.tss.test_refresh import ROUNDS as REFRESH_ROUNDS
from tests.misbehaviour.tss.test_refresh import TABLE as REFRESH_TABLE
from tests.misbehaviour.tss.test_sign import ROUNDS as SIGN_ROUNDS
from tests.misbehaviour.tss.test_sign import TABLE as SIGN_TABLE
from tests.tss.support import (
    Rounds,
    deal,
    deliver,
    flip,
    keygen_sessions,
    lanes_sessions,
    refresh_sessions,
    reshare_sessions,
    sign_sessions,
)

Sessions = Mapping[int, Session[Any]]
PROTOCOLS: dict[str, tuple[Callable[[], Sessions], Rounds, Sequence[Case]]] = {
    "keygen": (lambda: keygen_sessions(2, 3), KEYGEN_ROUNDS, KEYGEN_TABLE),
    "refresh": (lambda: refresh_sessions(deal(2, 3)), REFRESH_ROUNDS, REFRESH_TABLE),
    "reshare": (
        lambda: reshare_sessions(deal(2, 3), (1, 2, 3), (1, 2, 3), 2),
        KEYGEN_ROUNDS,
        (),
    ),
    "sign": (lambda: sign_sessions(deal(3, 4), (1, 2, 3)), SIGN_ROUNDS, SIGN_TABLE),
    "lanes": (
        lambda: lanes_sessions(deal(3, 4), (1, 2, 3), LANES_DIGESTS),
        LANES_ROUNDS,
        [case for case in LANES_TABLE if case.transferable],
    ),
}
CASES = [
    pytest.param(protocol, case, id=f"{protocol}-{case}")
    for protocol, (_, _, table) in PROTOCOLS.items()
    for case in table
]
PROVABLE = [
    pytest.param(*each.values, id=each.id)
    for each in CASES
    if each.values[1].transferable and (each.values[0] != "refresh" or each.values[1].round == 4)
]
"""A refresh differs from a key generation in round 4 only."""
CHARGES = [
    (fault.kind, fault.reason)
    for module in (dealing_run, sign_run)
    for fault in vars(module).values()
    if isinstance(fault, Fault)
] + [(AbortKind.EQUIVOCATION, TWO_MESSAGES), (AbortKind.MALFORMED, "round 2 payload")]
KINDS = [kind for kind, rule in RULES.items() if rule.transferable]


@define
class Archive:
    """Every message as it arrived, by recipient: what each party could show of the others."""

    sessions: Sessions
    arrived: dict[int, list[Message]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for party, session in self.sessions.items():
            self._watch(party, session)

    def _watch(self, party: int, session: Session[Any]) -> None:
        kept, receive = self.arrived.setdefault(party, []), session.receive

        def watched(message: Message) -> list[Message]:
            kept.append(message)
            return receive(message)

        session.receive = watched  # type: ignore[method-assign]  # looks on, changes nothing

    def messages(self, sender: int, recipient: int) -> dict[Slot, tuple[bytes, ...]]:
        """Return what one party got from another, by slot."""
        found: dict[Slot, tuple[bytes, ...]] = {}
        for message in self.arrived[recipient]:
            if message.sender == sender:
                slot = (message.round, message.recipient is None)
                found[slot] = (*found.get(slot, ()), message.payload)
        return found

    def broadcasts(self, viewer: int) -> dict[tuple[int, int], bytes]:
        """Return the broadcasts that one party saw, its own among them."""
        seen = {(m.round, m.sender): m.payload for m in self.arrived[viewer] if m.recipient is None}
        other = next(party for party in self.sessions if party != viewer)
        own = {
            (m.round, m.sender): m.payload
            for m in self.arrived[other]
            if m.recipient is None and m.sender == viewer
        }
        return {**seen, **own}

    def chain_parts(self) -> dict[int, tuple[bytes, bytes]]:
        """Return every party's opening of the chain code."""
        return {
            party: (session._chain_part, session._chain_salt)
            for party, session in self.sessions.items()
            if hasattr(session, "_chain_part")
        }


@lru_cache(maxsize=128)
def tampered(protocol: str, place: int) -> Archive:
    """Return a run in which party 2 cheats as a case says; an honest one without such a case."""
    make, rounds, table = PROTOCOLS[protocol]
    archive = Archive(make())
    if place < len(table):
        tamper_with(table[place], rounds, archive.sessions)
    else:
        deliver(archive.sessions)
    return archive


def place_of(protocol: str, case: Case) -> int:
    """Return where a case stands in its table."""
    return list(PROTOCOLS[protocol][2]).index(case)


def shown(
    archive: Archive, slots: Iterable[Slot], sender: int = CHEATER, recipient: int = VICTIM
) -> dict[Slot, tuple[bytes, ...]]:
    """Return what a recipient has of a sender for some slots."""
    found = archive.messages(sender, recipient)
    return {slot: found[slot] for slot in slots if slot in found}


@pytest.mark.parametrize(("protocol", "case"), PROVABLE)
def test_a_cheater_is_convicted_by_what_it_signed(protocol: str, case: Case) -> None:
    """Catches an abort that says it is transferable and convinces nobody."""
    archive = tampered(protocol, place_of(protocol, case))
    session = archive.sessions[case.victim]
    abort = session.abort
    assert abort is not None
    evidence = Evidence.from_plain(cbor2.loads(abort.evidence))
    messages = shown(archive, evidence.slots, recipient=case.victim)
    kind = AbortKind(case.kind)
    run = session._run
    assert set(messages) == set(evidence.slots)
    assert proves(run, kind, CHEATER, case.victim, messages, evidence)
    other = KINDS[KINDS.index(kind) - 1]
    assert not proves(run, other, CHEATER, case.victim, messages, evidence)
    assert not proves(run, kind, CHEATER, case.victim, {}, evidence)
    for accused, recipient in (
        (4, case.victim),
        (0, case.victim),
        (CHEATER, 4),
        (CHEATER, CHEATER),
    ):
        assert not proves(run, kind, accused, recipient, messages, evidence)
    elsewhere = evolve(evidence, session_id=bytes(32))
    assert not proves(run, kind, CHEATER, case.victim, messages, elsewhere)
    otherwise = evolve(evidence, reason="something worse")
    assert not proves(run, kind, CHEATER, case.victim, messages, otherwise)


@pytest.mark.parametrize(("protocol", "case"), PROVABLE)
def test_nothing_of_the_evidence_is_superfluous(protocol: str, case: Case) -> None:
    """Catches more being revealed than is needed: a direct message may hold a share."""
    archive = tampered(protocol, place_of(protocol, case))
    session = archive.sessions[case.victim]
    assert session.abort is not None
    evidence = Evidence.from_plain(cbor2.loads(session.abort.evidence))
    run, kind = session._run, AbortKind(case.kind)
    messages = shown(archive, evidence.slots, recipient=case.victim)
    direct = {slot for slot in messages if not slot[1]}
    for slot in direct:
        fewer = {place: found for place, found in messages.items() if place != slot}
        assert not proves(run, kind, CHEATER, case.victim, fewer, evidence)
    for name in ("broadcasts", "chain_parts"):
        if getattr(evidence, name):
            bare = evolve(evidence, **{name: {}})
            assert not proves(run, kind, CHEATER, case.victim, messages, bare)


def test_two_messages_for_one_slot_convict_without_anything_else() -> None:
    """Catches equivocation that only the node that met it can believe."""
    archive = tampered("keygen", len(KEYGEN_TABLE))
    run = archive.sessions[VICTIM]._run
    (payload,) = archive.messages(CHEATER, VICTIM)[1, True]
    evidence = Evidence(session_id=run.session_id, reason=TWO_MESSAGES)
    both = {(1, True): (payload, flip(payload))}
    assert proves(run, AbortKind.EQUIVOCATION, CHEATER, VICTIM, both, evidence)
    same = {(1, True): (payload, payload)}
    assert not proves(run, AbortKind.EQUIVOCATION, CHEATER, VICTIM, same, evidence)
    assert not proves(run, AbortKind.MALFORMED, CHEATER, VICTIM, both, evidence)


def test_a_dealer_of_another_constant_is_convicted() -> None:
    """Catches a reshare whose spoilt constant nobody outside can see."""
    archive = Archive(PROTOCOLS["reshare"][0]())
    archive.sessions[CHEATER]._old_share += 1
    deliver(archive.sessions)
    abort = archive.sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("share", (CHEATER,))
    evidence = Evidence.from_plain(cbor2.loads(abort.evidence))
    messages = shown(archive, evidence.slots)
    run = archive.sessions[VICTIM]._run
    assert proves(run, AbortKind.SHARE, CHEATER, VICTIM, messages, evidence)


@pytest.mark.parametrize("kind", [k for k in AbortKind if k not in KINDS])
def test_what_only_secrets_show_convicts_nobody(kind: AbortKind) -> None:
    """Catches a ban, a timeout or a wrong sum that is taken for a proof."""
    archive = tampered("sign", len(SIGN_TABLE))
    run = archive.sessions[VICTIM]._run
    evidence = Evidence(session_id=run.session_id, reason="")
    messages = archive.messages(CHEATER, VICTIM)
    assert not proves(run, kind, CHEATER, VICTIM, messages, evidence)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_selection_of_honest_messages_convicts(data: st.DataObject) -> None:
    """Catches an honest party framed: in an honest run, or in one that the accuser has spoilt.

    The accuser shows any of the messages it got, beside broadcasts that somebody saw, some of them
    changed or left out, under any charge.
    """
    protocol = data.draw(st.sampled_from(sorted(PROTOCOLS)))
    place = data.draw(st.integers(0, len(PROTOCOLS[protocol][2])))
    archive = tampered(protocol, place)
    accused = data.draw(st.sampled_from((VICTIM, 3)))
    accuser = data.draw(st.sampled_from([p for p in archive.sessions if p != accused]))
    got = archive.messages(accused, accuser)
    slots = data.draw(st.sets(st.sampled_from(sorted(got)), min_size=1))
    broadcasts = archive.broadcasts(data.draw(st.sampled_from(sorted(archive.sessions))))
    chain_parts = archive.chain_parts()
    for key in data.draw(st.sets(st.sampled_from(sorted(broadcasts)), max_size=2)):
        if data.draw(st.booleans()):
            broadcasts[key] = flip(broadcasts[key])
        else:
            del broadcasts[key]
    if chain_parts and data.draw(st.booleans()):
        party = data.draw(st.sampled_from(sorted(chain_parts)))
        chain_parts[party] = (flip(chain_parts[party][0]), chain_parts[party][1])
    run = archive.sessions[accuser]._run
    kind, reason = data.draw(st.sampled_from(CHARGES))
    evidence = Evidence(
        session_id=run.session_id, reason=reason, broadcasts=broadcasts, chain_parts=chain_parts
    )
    messages = {slot: got[slot] for slot in slots}
    assert not proves(run, kind, accused, accuser, messages, evidence)


@pytest.mark.parametrize("protocol", ["keygen", "reshare", "refresh"])
def test_one_lie_about_the_others_convicts_nobody(protocol: str) -> None:
    """Catches a judge that believes the accuser what others broadcast, or how they opened.

    The accused's whole part of an honest run is shown, and one field of one broadcast is changed,
    or one opening of the chain code.
    """
    archive = tampered(protocol, len(PROTOCOLS[protocol][2]))
    run, messages = archive.sessions[CHEATER]._run, archive.messages(VICTIM, CHEATER)
    values = {}
    for (number, public), (payload,) in messages.items():
        decoded = run.decode(number, VICTIM, None if public else CHEATER, payload)
        assert isinstance(decoded, dict)
        values[number, public] = decoded
    values.pop((2, False))  # its check is slow, and another test lies about it

    def faults(broadcasts: Mapping[tuple[int, int], bytes], **parts: Any) -> list[Fault]:
        shown = Shown(values, CHEATER, broadcasts, parts.get("parts", archive.chain_parts()))
        return list(run.faults(VICTIM, shown))

    seen = archive.broadcasts(VICTIM)
    assert faults(seen) == []
    for (number, party), payload in seen.items():
        shape = run.shape(number, party, None)
        assert shape is not None
        for name, _ in shape.fields:
            lie = {**shape.decode(payload), name: flip(shape.decode(payload)[name])}
            assert faults({**seen, (number, party): shape.encode(lie)}) == [], (number, party, name)
    for party, (part, salt) in archive.chain_parts().items():
        for lie in ((flip(part), salt), (part, flip(salt))):
            assert faults(seen, parts={**archive.chain_parts(), party: lie}) == []
        fewer = {p: opening for p, opening in archive.chain_parts().items() if p != party}
        assert faults(seen, parts=fewer) == []


@pytest.mark.parametrize(("accused", "holder"), [(VICTIM, CHEATER), (CHEATER, VICTIM)])
def test_a_lie_about_round_1_makes_no_offer_bad(accused: int, holder: int) -> None:
    """Catches base transfers that are judged under a session id of the accuser's making.

    Party 2 offers points to party 1, which offers none.
    """
    archive = tampered("keygen", len(KEYGEN_TABLE))
    run = archive.sessions[holder]._run
    got = archive.messages(accused, holder)
    offer = run.decode(2, accused, holder, got[2, False][0])
    answer = run.decode(3, accused, holder, got[3, False][0])
    assert isinstance(offer, dict)
    assert isinstance(answer, dict)
    assert ("ot_points" in offer) is (accused == CHEATER)
    seen = archive.broadcasts(accused)
    shape = KEYGEN_ROUNDS.broadcast(1, deals=True, holds=True)
    assert shape is not None
    first = shape.decode(seen[1, 3])
    assert first is not None
    lie = {**seen, (1, 3): shape.encode({**first, "sid": flip(first["sid"])})}
    for messages in ({(2, False): offer, (3, False): answer}, {(2, False): offer}):
        assert list(run.faults(accused, Shown(messages, holder, seen))) == []
        assert list(run.faults(accused, Shown(messages, holder, lie))) == []


_PLAIN = Evidence(session_id=bytes(32), reason="r", slots=((1, True),)).plain()


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("wrong", [None, 7, "text", [7], [[1]], [[1, 2, 3, 4]], [[True, 2]]])
def test_what_is_no_evidence_is_refused(place: int, wrong: object) -> None:
    """Catches evidence of odd types that crashes a judge, or that has two encodings."""
    assert Evidence.from_plain(_PLAIN).plain() == _PLAIN
    plain: list[Any] = [*_PLAIN]
    plain[place] = wrong
    if (place, wrong) != (1, "text"):
        with pytest.raises((ValueError, TypeError)):
            Evidence.from_plain(plain)
