"""New shares on a network of real processes: refreshed, handed on, with a node killed amid it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.regroups import FOUNDERS, Regroups


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regroups]:
    """Four nodes with a key, and one that may join."""
    regroups = Regroups.begin(tmp_path_factory.mktemp("regroups"))
    try:
        yield regroups
    finally:
        regroups.network.stop()


def test_a_key_by_command_is_refreshed_handed_on_and_signs(made: Regroups) -> None:
    """Catches an address that changes, a share left behind, a joiner or a leaver that is wrong.

    In the middle of the quorum change the joiner is killed with SIGKILL. At the end the traces of
    all five nodes together must be a run of the protocol.
    """
    made.signs()
    made.refresh()
    made.signs()
    leaver = made.holders[-1]
    made.replace(4, 0, victim=made.spare, phase="the share is prepared")
    made.signs()
    assert made.holders == [0, 1, 2, FOUNDERS]
    left = made.status(leaver)
    assert left["key"]["custody_address"] == made.key["address"]
    assert not left["key"]["holds_share"]
    assert not list(made.network.homes[leaver].keyshares.iterdir()), "its old share is gone"
    made.network.stop()
    legal, said = made.network.judge_traces({})
    assert legal, said
