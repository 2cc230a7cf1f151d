"""The requirements on one record of each table, a file per table.

Read one beside its table: the table says what happens row by row, the record says when an event is
taken at all, what it has done then, and what holds of every step, of a crash and at the start.
"""

from __future__ import annotations

from model_checks.records.block_list import BLOCK_LIST
from model_checks.records.event import EVENT
from model_checks.records.keygen import KEYGEN
from model_checks.records.link import LINK
from model_checks.records.payout import PAYOUT
from model_checks.records.peer import PEER
from model_checks.records.ping import PING
from model_checks.records.record import Record
from model_checks.records.regroup import REGROUP
from model_checks.records.round import ROUND
from model_checks.records.session import SESSION
from model_checks.records.swap import SWAP

RECORDS: tuple[Record, ...] = (
    PEER, PING, ROUND, KEYGEN, REGROUP, EVENT, PAYOUT, SESSION, LINK, BLOCK_LIST, SWAP,
)
"""In the order of the tables."""
