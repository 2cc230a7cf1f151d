"""A network of real processes that tests of several commands share, with one node stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs

from metanode.devnet.local_network import LocalNetwork
from metanode.runtime.home.config import Config, load_config
from metanode.runtime.home.config_template import render
from metanode.runtime.home.home import Home

STOPPED = 1
"""The number of the node that is stopped: its peer, node 0, goes on."""
PATIENCE_S = 60.0


async def _until_key(network: LocalNetwork) -> None:
    await network.prepare()
    for number in range(network.size):
        network.start(number)
    with anyio.fail_after(PATIENCE_S):
        while not all(each and each["key"] for each in await network.statuses()):
            await anyio.sleep(0.3)
    await anyio.sleep(1)


def network_with_key(directory: Path) -> LocalNetwork:
    """Return a network of four that has made its key, with one node stopped by SIGTERM."""
    network = LocalNetwork(directory)
    try:
        anyio.run(_until_key, network, backend="trio")
        end(network, STOPPED)
    except BaseException:
        network.stop()
        raise
    return network


def end(network: LocalNetwork, number: int) -> None:
    """Stop one node as an operator does."""
    process = network._nodes[number]
    process.terminate()
    process.wait(10)


def copy_of(network: LocalNetwork, directory: Path, number: int = STOPPED) -> Home:
    """Return a copy of a stopped node's home, to plant faults in."""
    home = Home(directory / "home")
    shutil.copytree(network.homes[number].path, home.path)
    home.path.chmod(0o700)
    return home


def change(home: Home, edit: Callable[[Config], Config]) -> None:
    """Write another configuration into a home."""
    config = edit(load_config(home.config))
    home.config.write_text(render(config))


def set_key(home: Home, path: str, value: Any) -> None:
    """Set one key of the configuration, such as "chain.rpc_url"."""
    section, key = path.split(".")
    change(
        home,
        lambda config: attrs.evolve(
            config, **{section: attrs.evolve(getattr(config, section), **{key: value})}
        ),
    )


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as a condition holds; AssertionError when it does not in time."""
    end_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_at, "it did not come true in time"
        time.sleep(0.2)
