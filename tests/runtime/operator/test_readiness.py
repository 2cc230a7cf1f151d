"""When a node can take part, and why not."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.runtime.operator.readiness import HINDRANCES, readiness
from spec.messages import HEALTH
from tests.runtime.operator.made_status import IDS, status

OTHER = status()["key"] | {"roster": list(IDS[1:])}


def test_a_node_that_is_well_is_ready() -> None:
    """Catches a judge that finds something always."""
    assert readiness(status()) == {"ready": True, "reasons": []}
    assert readiness(status(links=list(IDS[1:3])))["ready"], "t - 1 others are enough"


@pytest.mark.parametrize(
    ("changes", "codes", "says"),
    [
        ({"chain_fault": "no answer"}, ["chain_away"], "chain daemon is away"),
        ({"chain": None}, ["chain_unread"], "no block is read"),
        ({"chain_fault": "x", "chain": None, "health": "chain_away"}, ["chain_away"], "away"),
        ({"health": "clock_off"}, ["clock_off"], "set the clock"),
        ({"health": "disk_full"}, ["disk_full"], "almost full"),
        ({"health": "no_share"}, ["no_share"], "not on this disk"),
        ({"stake": {"state": "spent"}}, ["stake_spent"], "spent"),
        ({"key": None}, ["no_key"], "there is no key yet"),
        ({"key": None, "chain": None}, ["no_key"], "there is no key yet"),
        ({"key": OTHER}, ["no_holder"], "holds no share"),
        ({"links": [IDS[1]]}, ["few_links"], "links to 1 other holders, and signing needs 2"),
        ({"links": [IDS[1], "03" + "77" * 32]}, ["few_links"], "links to 1 other holders"),
        ({"links": [], "health": "clock_off"}, ["clock_off", "few_links"], "set the clock"),
    ],
)
def test_what_keeps_a_node_from_signing_is_said(
    changes: dict[str, Any], codes: list[str], says: str
) -> None:
    """Catches a node that is called ready and cannot sign, and links with strangers that count."""
    told = readiness(status(**changes))
    assert told["ready"] is False
    assert [each["code"] for each in told["reasons"]] == codes
    assert says in told["reasons"][0]["text"]
    assert set(codes) <= set(HINDRANCES)


def test_every_word_of_health_is_judged() -> None:
    """Catches a new word of health that a probe would not notice."""
    assert {word for word in HEALTH if word != "ok"} <= set(HINDRANCES)
