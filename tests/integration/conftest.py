"""One network of four nodes and a chain, shared by all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.support import HandMadeNetwork, Live


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Four homes made by hand, running, linked, with a key; each test leaves it that way."""
    network = HandMadeNetwork(tmp_path_factory.mktemp("network"))
    try:
        running = Live(network)
        running.begin()
        yield running
    finally:
        network.stop()
