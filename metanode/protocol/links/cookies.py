"""Cookies: what a hello asks the other end to sign, so that an old proof proves nothing."""

from __future__ import annotations

import hmac
from typing import Final

from metanode.errors import check
from metanode.hashing import tagged_hash

COOKIE_BYTES: Final = 32
NONCE_BYTES: Final = 8
_TIME_BYTES, _MAC_BYTES = 8, 16


class Cookies:
    """Stateless cookies (F-30): time, nonce and a MAC that binds them to one channel.

    Nothing is kept per endpoint, so half-open dials cannot use up the cookies of others behind the
    same address. Layout: time in ms (8 bytes), nonce (8), MAC (16).
    """

    def __init__(self, secret: bytes, lifetime_s: float) -> None:
        """Take the node's cookie key (32 secret bytes of this run) and the lifetime in seconds."""
        check(len(secret) == COOKIE_BYTES, "the cookie key has 32 bytes")
        self._secret = secret
        self._lifetime_s = lifetime_s

    def issue(self, host: str, fingerprint: bytes, nonce: bytes, now: float) -> bytes:
        """Return a cookie of 32 bytes for the channel to ``host`` with that peer certificate."""
        check(len(nonce) == NONCE_BYTES, "a cookie's nonce has 8 bytes")
        head = int(now * 1000).to_bytes(_TIME_BYTES, "big") + nonce
        return head + self._mac(head, host, fingerprint)

    def in_time(self, cookie: bytes, host: str, fingerprint: bytes, now: float) -> bool:
        """Tell whether a cookie was issued for this channel, at most the lifetime ago."""
        head = cookie[: _TIME_BYTES + NONCE_BYTES]
        expected = head + self._mac(head, host, fingerprint)
        age_s = now - int.from_bytes(cookie[:_TIME_BYTES], "big") / 1000
        # The time was cut to whole milliseconds, so that a cookie may look a little older.
        return hmac.compare_digest(cookie, expected) and 0 <= age_s <= self._lifetime_s + 0.001

    def _mac(self, head: bytes, host: str, fingerprint: bytes) -> bytes:
        name = host.encode("utf-8", "surrogatepass")
        return tagged_hash("link-cookie", self._secret, head, name, fingerprint)[:_MAC_BYTES]
