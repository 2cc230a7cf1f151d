"""The two clocks of a machine: the wall's, which anybody may set, and a steady one for waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define, field


@define
class Clock:
    """Calling it gives unix time in seconds; :meth:`steady` never goes back and never jumps.

    The steady clock starts at the wall's reading, so that ages count from the same number, and
    takes no part in what is done to the wall clock afterwards.
    """

    wall: Callable[[], float] = time.time
    even: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _even_began: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._began, self._even_began = self.wall(), self.even()

    def __call__(self) -> float:
        """Return unix time in seconds."""
        return self.wall()

    def steady(self) -> float:
        """Return seconds on the steady clock."""
        return self._began + self.even() - self._even_began


class ClockWentBack(Exception):
    """The wall clock was set back behind rounds that the node was in: it begins anew."""
