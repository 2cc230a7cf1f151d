"""The protocol as a whole: every table, assembled and checked at import."""

from __future__ import annotations

from spec import safe_sign
from spec.language.assembly import assemble
from spec.names import SORTS
from spec.parameters import CONSTANTS
from spec.tables import (
    block_list,
    event,
    keygen,
    link,
    payout,
    peer,
    ping,
    regroup,
    round,
    session,
    swap,
)

MODULES = (peer, ping, round, keygen, regroup, event, payout, session, link, block_list, swap)
"""The table files in reading order."""

PROTOCOL = assemble(
    sorts=SORTS,
    cells=(cell for module in (safe_sign, *MODULES) for cell in module.CELLS),
    tables=tuple(module.TABLE for module in MODULES),
    definitions=tuple(
        definition
        for module in (safe_sign, *MODULES)
        for definition in getattr(module, "DEFINITIONS", ())
    ),
    constants=CONSTANTS,
)
"""What the node runs and what ``model_checks`` checks: the same object."""
