"""Judging an accusation without any secret: do these messages show that fault?

The caller has verified that the accused signed the messages for this run, and to whom each of them
went. Nothing else is believed: what others broadcast counts only as the accused's own echo names
it, and the checks are those that the sessions run. An honest party signs one message for each slot
and none that fails a check, so no selection of its messages, with whatever beside them, ever
convicts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metanode.tss.abort import RULES, AbortKind, Evidence, Slot
from metanode.tss.public_run import Fault, Fields, PublicRun, Shown
from metanode.tss.session import TWO_MESSAGES


def proves(
    run: PublicRun, kind: AbortKind, accused: int, recipient: int,
    messages: Mapping[Slot, Sequence[bytes]], evidence: Evidence,
) -> bool:
    """Return whether ``accused`` has done in ``run`` what ``kind`` and the evidence's reason say.

    ``messages`` are payloads that the accused signed, by slot; those that are no broadcasts were
    signed for the party ``recipient``.
    """
    parties = set(run.parties)
    if not RULES[kind].transferable or evidence.session_id != run.session_id:
        return False
    if accused not in parties or recipient not in parties or accused == recipient:
        return False
    if kind is AbortKind.EQUIVOCATION:
        twice = any(len(set(payloads)) > 1 for payloads in messages.values())
        return twice and evidence.reason == TWO_MESSAGES
    decoded: dict[Slot, Fields] = {}
    for (number, public), payloads in messages.items():
        if len(payloads) != 1:
            return False
        values = run.decode(number, accused, None if public else recipient, payloads[0])
        if isinstance(values, Fault):
            return (values.kind, values.reason) == (kind, evidence.reason)
        decoded[number, public] = values
    shown = Shown(decoded, recipient, evidence.broadcasts, evidence.chain_parts)
    claim = (kind, evidence.reason)
    return any((fault.kind, fault.reason) == claim for fault in run.faults(accused, shown))
