"""Each chain once for all tests of a run: the embedded one always, a real daemon when there is one.

``METANODE_DAEMON=/path/to/bitcoind`` names another daemon than litecoind. A worker that is killed
takes its processes with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from metanode.devnet.daemon import Daemon, find_program
from tests.daemons.support import RPCAUTH, Chain, Embedded


@pytest.fixture(autouse=True, scope="session")
def _one_tls_context() -> Iterator[None]:
    """Read the certificates of the machine once: each client does, for 80 ms, and uses no TLS."""
    context = httpx.create_ssl_context(trust_env=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", lambda **_: context)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run on the loop that nodes run on; the client itself is tested on both elsewhere."""
    return "trio"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Return the embedded chain as a process of its own."""
    server = Embedded(tmp_path_factory.mktemp("embedded"))
    try:
        yield Chain.begin(server)
    finally:
        server.close()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Return a real daemon, or skip and say why."""
    program = find_program()
    if program is None:
        said = "no litecoind and no METANODE_DAEMON: nothing was tried on a real daemon"
        if os.environ.get("CI_DAEMON") == "required":
            pytest.fail(said)
        pytest.skip(said)
    settings = {"rpcauth": RPCAUTH, "maxmempool": "8"}  # can be filled, and holds a block
    server = Daemon(program, tmp_path_factory.mktemp("daemon"), settings=settings)
    try:
        yield Chain.begin(server)
    finally:
        server.close()


@pytest.fixture(params=["embedded", "daemon"], scope="session")
def each_chain(request: pytest.FixtureRequest) -> Chain:
    """Return each chain in turn."""
    found: Chain = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def chain(each_chain: Chain) -> Iterator[Chain]:
    """Return each chain in turn, and leave no unconfirmed transaction to the next test."""
    yield each_chain
    each_chain.mine()


@pytest.fixture
def litecoin(daemon: Chain) -> Iterator[Chain]:
    """Return a real Litecoin daemon with active MWEB, or skip."""
    if not daemon.has_mweb:
        pytest.skip("METANODE_DAEMON is no litecoind: it has no MWEB")
    yield daemon
    daemon.mine()
