"""Many stakes at once: one request for what waits, and each caller gets its own answer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from attrs import evolve

from metanode.chains.base import StakeVerdict
from metanode.chains.rpc import RpcError
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable
from tests.devnet.support import COIN, Devnet, devnet, one_by_one, public, script_of
from tests.support import key_of

pytestmark = pytest.mark.anyio

MEMBERS = 60
OWNERS = [key_of(f"owner {number}") for number in range(MEMBERS)]
STAKES = tuple((script_of(owner), COIN) for owner in OWNERS)


async def judged(net: Devnet, wanted: list[Outpoint]) -> list[StakeVerdict | str]:
    """Judge one output for each owner, all at once; a text tells why there is no verdict."""
    found: list[StakeVerdict | str] = ["unanswered"] * len(wanted)

    async def judge(number: int) -> None:
        owner = public(OWNERS[number])
        try:
            found[number] = await net.adapter.check_stake(wanted[number], owner, COIN, 3600)
        except Unavailable as fault:
            found[number] = str(fault)

    async with anyio.create_task_group() as tasks:
        for number in range(len(wanted)):
            tasks.start_soon(judge, number)
    return found


async def test_sixty_stakes_cost_a_handful_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a node that asks its daemon up to 240 times, one after the other, before it knows
    sixty members; and one that asks for their blocks again after each new one.
    """
    async with devnet(STAKES) as net:
        requests: list[str] = []
        exchange = net.rpc._exchange

        async def count(method: str, content: Any) -> Any:
            requests.append(method)
            return await exchange(method, content)

        monkeypatch.setattr(net.rpc, "_exchange", count)
        found = await judged(net, list(net.stakes))
        assert all(isinstance(each, StakeVerdict) and each.ok for each in found)
        assert len(requests) <= 8
        net.mine()
        requests.clear()
        again = await judged(net, list(net.stakes))
        assert all(isinstance(each, StakeVerdict) and each.ok for each in again)
        assert requests.count("getblockheader") == 1, "that of the new block"
        assert requests.count("getblockhash") == 1


async def test_each_caller_gets_the_answer_about_its_own_output() -> None:
    """Catches answers that are handed to the wrong member when they come in one reply."""
    async with devnet(STAKES) as net:
        wanted = list(net.stakes)
        wanted[7] = wanted[8]  # another member's
        wanted[20] = evolve(wanted[20], index=900)  # not there
        found = await judged(net, wanted)
        reasons = [each.reason if isinstance(each, StakeVerdict) else each for each in found]
        assert reasons.count("ok") == MEMBERS - 2
        assert (reasons[7], reasons[20]) == ("foreign", "spent")


async def test_one_refused_question_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a request in which one refusal takes the others' answers away."""
    async with devnet(STAKES) as net:
        one_by_one(net.rpc)
        call = net.rpc.call

        async def refuse(method: str, *params: Any) -> Any:
            if method == "gettxout" and params[1] == 900:
                raise RpcError(-1, "no")
            return await call(method, *params)

        monkeypatch.setattr(net.rpc, "call", refuse)
        wanted = list(net.stakes)
        wanted[3] = evolve(net.stakes[3], index=900)
        found = await judged(net, wanted)
        others = [each for number, each in enumerate(found) if number != 3]
        assert all(isinstance(each, StakeVerdict) and each.ok for each in others)
        assert "refuses gettxout" in str(found[3])


async def test_an_output_with_a_reply_of_no_shape_spoils_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a peer that names an output whose reply cannot be read, and so keeps all others that
    are asked about at that moment from being judged.
    """
    async with devnet(STAKES) as net:
        answer, asked = net.rpc._result, 0

        def spoil(method: str, call: int, reply: Any) -> Any:
            nonlocal asked
            found = answer(method, call, reply)
            asked += method == "gettxout"
            large = isinstance(found, dict) and found.get("value") == 2
            return {**found, "value": "much"} if large else found

        monkeypatch.setattr(net.rpc, "_result", spoil)
        wanted = list(net.stakes)
        wanted[30] = await net.fund(OWNERS[30], 2 * COIN)
        found = await judged(net, wanted)
        others = [each for number, each in enumerate(found) if number != 30]
        assert all(isinstance(each, StakeVerdict) and each.ok for each in others)
        assert isinstance(found[30], str)
        assert asked <= 3 * MEMBERS  # each alone after a failure, and not all of them with each


async def test_an_answer_is_not_kept_for_a_later_question() -> None:
    """Catches a stake that is spent and stays good because it was asked about before."""
    async with devnet(STAKES) as net:
        assert (await judged(net, list(net.stakes[:1])))[0] != "unanswered"
        coins = net.ledger.tree.coins
        del coins[(net.stakes[0].txid, net.stakes[0].index)]
        found = (await judged(net, list(net.stakes[:1])))[0]
        assert isinstance(found, StakeVerdict)
        assert found.reason == "spent"
