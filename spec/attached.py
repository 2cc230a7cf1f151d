"""What a store keeps beside a disk cell, and how it is tied to the row that writes the cell."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Attachment:
    """How what is stored beside a disk cell is tied to the row that writes the cell.

    ``index`` names its fields that are the cell's index, without the node's own place; ``values``
    maps a cell that the same row writes to the field that must equal what is written.
    """

    index: tuple[str, ...] = ()
    values: Mapping[str, str] = field(factory=dict)


ATTACHED: Mapping[str, Attachment] = {
    "lock": Attachment(
        ("certificate.event",),
        {"lock": "certificate.digest", "lock_attempt": "certificate.attempt"},
    ),
    "signature_kept": Attachment(("event", "digest")),
    "key": Attachment(("key",)),
    "key_share": Attachment(("slot",)),
    "holding": Attachment(("number",)),
    "attested": Attachment(("night",)),
}
"""What is stored beside a disk cell, where the node's stores keep more than the cell."""
