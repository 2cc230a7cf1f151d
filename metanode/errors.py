"""The exception tree of the node: whose fault it is decides what happens next.

``LocalFault`` is a defect of ours, ``UserError`` is bad input from the operator, ``PeerFault`` is
bad input from a peer and names whom to blame, ``Unavailable`` means try again later.
"""

from __future__ import annotations

import re


class MetanodeError(Exception):
    """Base of every error that this package raises on purpose."""


class LocalFault(MetanodeError):
    """The node itself broke a rule (a defect); state is unchanged."""


class UserError(MetanodeError):
    """Bad input from the operator: one line that names the cause and the mend; exit code 2."""


class Unavailable(MetanodeError):
    """Something outside (chain daemon, peer, disk) does not answer now; trying again is sound."""


class PeerFault(MetanodeError):
    """A peer sent something it must not send.

    ``culprits()`` are the node ids (33 bytes each) that are proved to be at fault; it is empty when
    the fault cannot be attributed.
    """

    def __init__(self, reason: str, *culprits: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self._culprits = culprits

    def culprits(self) -> tuple[bytes, ...]:
        """Return the node ids to blame; empty when nobody can be named."""
        return self._culprits


class Equivocation(PeerFault):
    """A peer signed two different messages where one is allowed.

    ``frames`` are the two envelopes as they came in: anyone who holds them can check the claim.
    """

    def __init__(self, reason: str, culprit: bytes, frames: tuple[bytes, bytes]) -> None:
        super().__init__(reason, culprit)
        self.frames = frames


class Malformed(PeerFault):
    """Bytes that are no message of the protocol: bad CBOR, wrong types, unknown or missing keys."""


_BEFORE_MEND = re.compile("[:;] (?!else )")


def cause_and_mend(error: MetanodeError) -> tuple[str, str]:
    """Return what a one-line error says before and after its last colon or semicolon.

    For a line without one, the whole line is both.
    """
    text = str(error)
    marks = list(_BEFORE_MEND.finditer(text))
    return (text[: marks[-1].start()], text[marks[-1].end() :]) if marks else (text, text)


def check(condition: bool, reason: str) -> None:
    """Raise :class:`LocalFault` unless ``condition`` holds; unlike ``assert`` also with -O."""
    if not condition:
        raise LocalFault(reason)
