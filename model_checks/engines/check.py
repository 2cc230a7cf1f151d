"""Everything the explicit engine can say about an instance, in one call."""

from __future__ import annotations

from collections.abc import Callable, Collection

from model_checks.engines.edges import check_always_can
from model_checks.engines.explicit import MAX_STATES, Explicit, Progress
from model_checks.engines.liveness import check_liveness
from model_checks.engines.oracle import Instance, Result
from model_checks.system import LIVENESS


def check(
    instance: Instance, symmetry: tuple[str, ...] = (), records: str = "Peer",
    max_states: int = MAX_STATES, progress: Callable[[Progress], None] | None = None,
    until: Collection[str] = (),
) -> Result:
    """Return the verdicts on all properties, with counts from the search with ``symmetry``.

    Liveness properties are looked at in a second search, without symmetry. A search that stopped
    early, at what ``until`` names, says nothing about ``always_can`` and liveness. Raises
    :class:`~model_checks.engines.explicit.SearchTooLarge` beyond ``max_states``.
    """
    search = Explicit(instance, symmetry, records)
    result = search.explore(max_states, progress, until)
    if not result.complete:
        return result
    check_always_can(search, result)
    if any(c.property.kind in LIVENESS for c in instance.system.properties):
        if symmetry:
            search = Explicit(instance, (), records)
            search.explore(max_states, progress)
        check_liveness(search, result)
    return result
