"""What can go wrong in custody: a broken index, a transfer that cannot be paid, a bad signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metanode.errors import MetanodeError

if TYPE_CHECKING:
    from metanode.custody.types import Outpoint


class LedgerMismatch(MetanodeError):
    """A block does not fit the index (parent, coin or tip unknown); nothing changed."""


class OutsideWindow(MetanodeError):
    """A height that the index no longer holds, or does not hold yet."""


class Unpayable(MetanodeError):
    """No payout can be built from these transfers; ``outpoints`` are those to leave out, if any.

    Leaving them out and building again is sound: a deposit that is not an input stays where it is.
    """

    def __init__(self, reason: str, outpoints: Sequence[Outpoint] = ()) -> None:
        super().__init__(reason)
        self.outpoints = tuple(outpoints)


class BadSignature(MetanodeError):
    """A signature does not verify for its input; ``index`` is the input's position."""

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.index = index
