"""The owner that a file names, if the file leaves a home and may come back."""

from __future__ import annotations

from attrs import field, frozen

from metanode.errors import LocalFault
from metanode.identity import NODE_ID_BYTES

NETWORK_ID_BYTES = 32
OWNER_BYTES = NETWORK_ID_BYTES + NODE_ID_BYTES


@frozen
class Owner:
    """One node on one network: 32-byte network id and 33-byte node id."""

    network_id: bytes = field()
    node_id: bytes = field()

    def __attrs_post_init__(self) -> None:
        if len(self.network_id) != NETWORK_ID_BYTES or len(self.node_id) != NODE_ID_BYTES:
            raise LocalFault("an owner is a 32-byte network id and a 33-byte node id")

    def encode(self) -> bytes:
        """Return network id‖node id."""
        return self.network_id + self.node_id

    @classmethod
    def decode(cls, data: bytes) -> Owner:
        """Read what :meth:`encode` wrote; LocalFault for another length."""
        return cls(data[:NETWORK_ID_BYTES], data[NETWORK_ID_BYTES:])
