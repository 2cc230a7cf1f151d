"""The bytes on the wire are frozen: peers of one suite version must understand each other."""

from __future__ import annotations

import hashlib

from metanode.tss.messages import Message
from metanode.tss.parameters import SUITE
from tests.tss.support import deliver, generate, keygen_sessions, sign_sessions

FROZEN = {
    b"metanode/dkls23/secp256k1/v1": (
        "99af65cdb6fdeb9749bb2f27e4cf407d",
        "e239a973ad79988545b9f5d885d1731f",
    ),
}


def test_transcripts_of_a_seeded_run() -> None:
    """Catches an unwanted change of a hash, encoding or order; a wanted one is a new suite."""
    hashes = []
    for sessions in (keygen_sessions(2, 2), sign_sessions(generate(2, 2), (1, 2))):
        state = hashlib.sha256()

        def record(_: int, message: Message, state: hashlib._Hash = state) -> Message:
            state.update(message.session_id + message.payload)
            return message

        deliver(sessions, tamper=record)
        hashes.append(state.hexdigest()[:32])
    assert tuple(hashes) == FROZEN[SUITE]
