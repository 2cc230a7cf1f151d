"""One network of four nodes and a chain, shared by all tests of a run.

With several workers, ``tests/scheduling.py`` gives all tests that use it to one of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.integration.support import SIZE, HandMadeNetwork, Live


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Four homes made by hand, running, linked, with a key; each test leaves it that way.

    At the end the traces of all nodes must be a run of the protocol, whichever tests were run.
    """
    network = HandMadeNetwork(tmp_path_factory.mktemp("network"))
    try:
        running = Live(network)
        running.begin()
        yield running
        running.assert_legal()
    finally:
        network.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write beside a failure what the nodes say of themselves, while they still run."""
    report = yield
    network = getattr(item, "funcargs", {}).get("live")
    if report.failed and isinstance(network, Live):
        for number in range(SIZE):
            report.sections.append((f"node {number}", network.told(number)))
    return report
