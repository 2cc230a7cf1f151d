"""The operator's word: the peers of the configuration, the seeds, and those added since.

Each is an address or a name. All addresses of a name are dialled, and a name is asked about again
when none of them answers. The operator's own endpoints decide which kinds of network are dialled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field

from metanode.protocol.peers.address_book import AddressBook
from metanode.protocol.peers.endpoints import PRIVATE, Endpoint, kinds_of, network_kind
from metanode.protocol.peers.names import Names
from metanode.protocol.peers.own_address import OwnAddress

MAX_ADDED: Final = 256
"""Endpoints that the operator may add while the node runs."""


@define
class OperatorWord:
    """``kinds`` are the networks that the operator is in; ``announced_name`` is the name of this
    node itself, if it is announced by one.
    """

    book: AddressBook
    names: Names
    own: OwnAddress
    configured: frozenset[Endpoint]
    seeds: frozenset[Endpoint]
    added: dict[Endpoint, None] = field(factory=dict)
    kinds: frozenset[str] = frozenset()
    announced_name: Endpoint | None = None

    def start(self, advertised: Endpoint | None, peers: Iterable[Endpoint], now: float) -> None:
        """Take up what the configuration says, in its order."""
        for endpoint in peers:
            self._take(endpoint, now)
        own = advertised or self.own.listening
        if own is not None and own.address is None:
            self.announced_name = own
            self.names.add(own)
        elif advertised is not None:
            self.own.advertised = (advertised,)
        self._know_kinds()

    def _take(self, endpoint: Endpoint, now: float) -> None:
        if endpoint.address is None:
            self.names.add(endpoint)
        else:
            self.book.pin(endpoint, now)

    def _know_kinds(self) -> None:
        """Find the kinds of network that the operator is in: their own word says it.

        What a name stands for is somebody else's word: it never opens the loopback.
        """
        said = (self.own.listening, *self.own.advertised, *self.configured, *self.added)
        named = {
            each
            for name in (*self.configured, *self.added)
            for each in self.addresses(name)
            if network_kind(each.host) == PRIVATE
        }
        self.kinds = kinds_of([each for each in (*said, *named) if each is not None])

    # --- what happens ---

    def resolved(self, name: Endpoint, addresses: Iterable[Endpoint], now: float) -> None:
        """Take the endpoints that a name stands for now; all of them are dialled."""
        usable = [each for each in addresses if network_kind(each.host) is not None]
        new, gone = self.names.resolved(name, usable, now)
        if name == self.announced_name:
            self.own.advertised = self.addresses(name)
        if self.says(name):
            for endpoint in new:
                self.book.pin(endpoint, now)
            for endpoint in gone:
                if not self.says(endpoint):
                    self.book.unpin(endpoint)
        self._know_kinds()

    def add(self, endpoint: Endpoint, now: float) -> bool:
        """Take a peer that the operator adds; returns whether there is room for it."""
        if len(self.added) >= MAX_ADDED and endpoint not in self.added:
            return False
        self.added[endpoint] = None
        self._take(endpoint, now)
        self._know_kinds()
        if (known := self.book.entries.get(endpoint)) is not None:
            known.failures, known.not_before = 0, now
        return True

    def forget(self, endpoint: Endpoint) -> bool:
        """Forget an endpoint or a name that the operator drops; tells whether it was known."""
        found = endpoint in self.book or endpoint in self.added
        self.added.pop(endpoint, None)
        gone = () if self.says(endpoint) else (endpoint, *self.names.drop(endpoint))
        for address in gone:
            if not self.says(address):
                self.book.drop(address)
        self._know_kinds()
        return found

    # --- questions ---

    def addresses(self, name: Endpoint) -> tuple[Endpoint, ...]:
        """Return what a name stood for when it was asked about last."""
        entry = self.names.entries.get(name)
        return () if entry is None else entry.addresses

    def says(self, endpoint: Endpoint) -> bool:
        """Tell whether the operator has written an endpoint down as it is."""
        return endpoint in self.configured or endpoint in self.added or endpoint in self.seeds

    def is_configured(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint, or the name behind it, stands in the configuration."""
        return endpoint in self.configured or any(
            endpoint in self.addresses(name) for name in self.configured
        )

    def is_seed(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint is a seed's, and nothing more to the operator."""
        if self.is_configured(endpoint) or endpoint in self.added:
            return False
        if any(endpoint in self.addresses(name) for name in self.added):
            return False
        return endpoint in self.seeds or any(
            endpoint in self.addresses(name) for name in self.seeds
        )
