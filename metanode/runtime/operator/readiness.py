"""Whether a node can take part in signing now, and why not: what ``/readyz`` says.

The judge reads the status alone, so that whoever has a status comes to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import asdict, frozen


@frozen
class Hindrance:
    """What keeps a node from taking part: a word for programs, and a sentence."""

    code: str
    text: str


HEALTH_TEXT: Mapping[str, str] = {
    "disk_full": "the disk of the home is almost full: what must be kept cannot be written",
    "clock_off": "more than half of the linked peers have another time: set the clock",
    "no_share": "the share of the epoch in force is not on this disk",
}
"""What the node says of its own health in its pings; ``chain_away`` is told with its cause."""

HINDRANCES = (
    "chain_away", "chain_unread", *HEALTH_TEXT, "stake_spent", "no_key", "no_holder", "few_links",
)
"""All codes."""


def hindrances(status: Mapping[str, Any]) -> Iterator[Hindrance]:
    """Yield what keeps the node of a status from taking part in a round."""
    if status["chain_fault"] is not None:
        # Anybody may ask a probe: what the daemon's address is stands in the status alone.
        yield Hindrance("chain_away", "the chain daemon is away: `status` says what is wrong")
    elif status["chain"] is None and status["key"] is not None:
        yield Hindrance("chain_unread", "no block is read yet")
    if status["health"] in HEALTH_TEXT:
        yield Hindrance(status["health"], HEALTH_TEXT[status["health"]])
    if status["stake"]["state"] == "spent":
        yield Hindrance("stake_spent", "the stake of this node is spent")
    key = status["key"]
    if key is None:
        yield Hindrance("no_key", "there is no key yet: the network makes it once all founders run")
    elif status["node_id"] not in key["roster"]:
        yield Hindrance("no_holder", "this node holds no share of the key in force")
    else:
        linked = len(set(status["links"]) & set(key["roster"]))
        needed = key["threshold"] - 1
        if linked < needed:
            text = f"links to {linked} other holders, and signing needs {needed}"
            yield Hindrance("few_links", text)


def readiness(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of ``/readyz``: ``ready``, and the reasons where it is false."""
    found = [asdict(each) for each in hindrances(status)]
    return {"ready": not found, "reasons": found}
