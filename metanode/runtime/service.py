"""What a node tells the service manager that started it: ready, alive, what it does, ending.

This is the protocol of sd_notify(3): datagrams of ``NAME=value`` lines to the socket that the
environment names. It is spoken only when the node is told where to; nothing waits for an answer,
and a manager that does not listen just now changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Final, Self

from attrs import define

STATUS_S: Final = 10.0
"""So often is told what the node does, without a watchdog."""
BEATS: Final = 4
"""Beats in the time after which a watchdog bites: a busy machine may miss some."""
MICROSECONDS: Final = 1_000_000


@define
class ServiceManager:
    """The other end. ``address``: of its socket, "" for none; ``watchdog_s``: after so many seconds
    without a sign of life it starts the node anew, 0 for never.
    """

    address: str = ""
    watchdog_s: float = 0.0
    _next: float = float("-inf")
    _is_ready: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str], process: int) -> Self:
        """Return the manager that an environment names for a process; what is odd counts as none.

        Only paths and abstract names are known, no sockets of other families.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        period = environment.get("WATCHDOG_USEC", "")
        watched = environment.get("WATCHDOG_PID", str(process)) == str(process)
        if not (watched and period.isascii() and period.isdigit() and len(period) < 20):
            return cls(address)
        return cls(address, int(period) / MICROSECONDS)

    def tick(self, now: float, doing: Callable[[], str]) -> None:
        """Take it that the node has moved, at ``now`` on any steady clock, in seconds; the first
        time means that it is ready. ``doing`` returns what it does, in one line.

        It belongs where only a node that works comes by: a thread that beats by itself would keep
        alive a node that hangs.
        """
        if not self.address or now < self._next:
            return
        self._next = now + (self.watchdog_s / BEATS if self.watchdog_s else STATUS_S)
        lines = [f"STATUS={doing()}"]
        if not self._is_ready:
            lines.append("READY=1")
        if self.watchdog_s:
            lines.append("WATCHDOG=1")
        self._is_ready |= self._send(lines)

    def stopping(self) -> None:
        """Say that the node ends because it was asked to."""
        if self.address:
            self._send(["STOPPING=1", "STATUS=ends"])

    def _send(self, lines: list[str]) -> bool:
        """Send one datagram and return whether the other end has it."""
        # A name that begins with a zero octet is an abstract one, which is written with an @.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.setblocking(False)
                end.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False  # the next tick says it again
        return True
