"""What is asked of one record of a table, said a second time and from the other side.

A table says row by row what an event does in a state. A :class:`Record` says of each event when it
is taken at all, of each state who may come into it, and what a crash leaves. Nothing is shared but
the names of the cells, so a slip in either text shows as a difference between the two.

It holds from every state, reachable or not, and with every combination of facts: nothing is assumed
about how a record came to be where it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

SIZES = {
    "Peer": 3, "Event": 1, "Attempt": 3, "Digest": 2, "Instance": 2, "Key": 4, "Swap": 1, "Link": 2,
    "Epoch": 3,
}
"""So many individuals: two that differ, and as many as a count in a table asks for; of peers, so
many that T of them leave one out."""
CONSTANTS = {"N": 3, "T": 2, "F": 0, "R": 2}


@frozen(kw_only=True)
class Record:
    """The requirements on one record.

    ``taken`` says of every event of the table when a row takes it; otherwise it is refused, which
    is a typed error at a node. The parameters of the event are in scope.
    ``then`` says what an event that is taken has done; ``after(x)`` is ``x`` after the step.
    ``steps`` holds of every step of every row, with the table's subject in scope, such as p and q.
    ``crash`` says what a crash of p leaves, ``first`` what a record is before anything happened.
    """

    table: str
    taken: Mapping[str, str]
    then: Mapping[str, str] = field(factory=dict)
    steps: Mapping[str, str] = field(factory=dict)
    crash: str = "True"
    first: str = "True"

    @property
    def name(self) -> str:
        """What it is called in the list of models."""
        return f"{self.table}, one record"

    @property
    def size(self) -> int:
        """How many requirements there are."""
        return len(self.taken) + len(self.then) + len(self.steps) + 2
