"""What every test shares: one deterministic hypothesis profile, and what stands for slow parts.

``scheduling.py`` decides which worker runs what.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.scheduling import ByFile, rank_of

# derandomize: a red run is the same red run everywhere; no deadline: the machine may be busy.
settings.register_profile(
    "metanode",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("metanode")


SIMULATED = ("simulation", "protocol", "misbehaviour/protocol", "conformance")
"""Folders whose tests run whole networks in one process. Three quarters of what a dealing costs are
its base transfers; there, ideal ones stand for them, but for tests marked `real_transfers`."""


@pytest.fixture(scope="module")
def ideal_base_transfers() -> Iterator[None]:
    """Let every dealing of a module use ideal base transfers, which cost next to nothing."""
    from tests.tss.ideal import ideal_transfers

    with ideal_transfers():
        yield


@pytest.fixture(autouse=True, scope="module")
def _transfers_of_a_simulation(request: pytest.FixtureRequest) -> None:
    folder = request.path.parent.relative_to(Path(__file__).parent).as_posix()
    if any(f"{folder}/".startswith(f"{name}/") for name in SIMULATED):
        request.getfixturevalue("ideal_base_transfers")


@pytest.fixture(autouse=True)
def _transfers_of_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("real_transfers") is None:
        yield
        return
    from tests.tss.ideal import real_transfers

    with real_transfers():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a file, and among its like, the order stays."""
    items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Hand out whole files."""
    return ByFile(config, log)
