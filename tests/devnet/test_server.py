"""The devnet's HTTP server, spoken to by the real client and by raw bytes, on both event loops."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from metanode.chains.rpc import RpcClient, RpcError
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.server import DevnetSettings, read_credentials, serve
from metanode.errors import Unavailable, UserError
from tests.devnet.support import COIN, NOW, address, devnet, script_of, spend
from tests.support import key_of

pytestmark = pytest.mark.anyio

USER = key_of("user")


async def refusal(rpc: RpcClient, method: str, *params: Any) -> int:
    """Return the error code of a call."""
    with pytest.raises(RpcError) as raised:
        await rpc.call(method, *params)
    return raised.value.code


async def test_shapes_of_bitcoin_core() -> None:
    """Catches a reply whose keys or types differ from what real daemons send."""
    async with devnet() as net:
        info = await net.rpc.call("getblockchaininfo")
        best = await net.rpc.call("getbestblockhash")
        height = await net.rpc.call("getblockcount")
        assert (info["chain"], info["blocks"], info["bestblockhash"]) == ("regtest", height, best)
        header = await net.rpc.call("getblockheader", best)
        assert header["confirmations"] == 1
        assert header["mediantime"] == info["mediantime"]
        assert header["previousblockhash"] == await net.rpc.call("getblockhash", height - 1)
        assert len(await net.rpc.call("getblockheader", best, False)) == 160
        block = await net.rpc.call("getblock", best, 2)
        assert block["tx"][0]["vin"][0].keys() == {"coinbase", "txinwitness", "sequence"}
        assert block["tx"][0]["vout"][0]["value"] == Decimal("50.00000000")
        assert (await net.rpc.call("getblock", best, 1))["tx"] == [block["tx"][0]["txid"]]
        assert (await net.rpc.call("getblock", best, 0)).startswith("000000")
        stats = await net.rpc.call("getblockstats", best, ["feerate_percentiles"])
        assert stats["feerate_percentiles"] == [0] * 5
        tips = await net.rpc.call("getchaintips")
        assert tips == [{"height": height, "hash": best, "status": "active"}]
        assert (await net.rpc.call("getnetworkinfo"))["relayfee"] == Decimal("0.00001")


async def test_transactions_over_rpc() -> None:
    """Catches a mempool entry, look-up or coin that is reported wrongly."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        (verdict,) = await net.rpc.call("testmempoolaccept", [raw.hex()])
        assert verdict["allowed"]
        assert verdict["fees"]["base"] == Decimal("0.00001")
        assert await net.rpc.call("getrawmempool") == []
        assert await net.rpc.call("sendrawtransaction", raw.hex()) == txid.hex()
        assert await net.rpc.call("getrawmempool") == [txid.hex()]
        entry = await net.rpc.call("getmempoolentry", txid.hex())
        assert entry["fees"]["base"] == Decimal("0.00001")
        assert await net.rpc.call("getrawtransaction", txid.hex()) == raw.hex()
        assert "blockhash" not in await net.rpc.call("getrawtransaction", txid.hex(), True)
        assert await net.rpc.call("gettxout", coin.txid.hex(), 0, True) is None
        assert (await net.rpc.call("gettxout", coin.txid.hex(), 0, False))["confirmations"] == 1
        assert (await net.rpc.call("gettxout", txid.hex(), 0, True))["confirmations"] == 0
        (mined,) = await net.rpc.call("generatetoaddress", 1, address(USER))
        found = await net.rpc.call("getrawtransaction", txid.hex(), True)
        assert (found["blockhash"], found["confirmations"]) == (mined, 1)
        scan = await net.rpc.call("scantxoutset", "start", [f"raw({script_of(USER).hex()})"])
        assert txid.hex() in {coin["txid"] for coin in scan["unspents"]}


async def test_error_codes() -> None:
    """Catches a code that differs from Bitcoin Core's, on which callers decide."""
    async with devnet() as net:
        rpc, zero = net.rpc, "00" * 32
        assert await refusal(rpc, "nosuchmethod") == -32601
        assert await refusal(rpc, "getblockhash") == -32602
        assert await refusal(rpc, "getblockhash", 10**6) == -8
        assert await refusal(rpc, "getblockhash", -1) == -8
        assert await refusal(rpc, "getblockhash", "1") == -3
        assert await refusal(rpc, "getblock", zero) == -5
        assert await refusal(rpc, "getblock", "00") == -8
        assert await refusal(rpc, "getblock", 7) == -8
        assert await refusal(rpc, "getrawtransaction", zero) == -5
        assert await refusal(rpc, "getmempoolentry", zero) == -5
        assert await refusal(rpc, "sendrawtransaction", "zz") == -22
        assert await refusal(rpc, "sendrawtransaction", "00") == -22
        assert await refusal(rpc, "generatetoaddress", 1, "bc1qqqq") == -5
        assert await refusal(rpc, "generatetoaddress", 10**6, address(USER)) == -8
        assert await refusal(rpc, "devnet_faucet", address(USER), Decimal("0.000000001")) == -3
        assert await refusal(rpc, "devnet_faucet", address(USER), "1") == -3
        assert await refusal(rpc, "devnet_faucet", address(USER), 1, "m" * 81) == -8
        assert await refusal(rpc, "setmocktime", -1) == -8
        assert await refusal(rpc, "scantxoutset", "start", ["addr(x)"]) == -5


async def test_mock_time_over_rpc() -> None:
    """Catches a clock that does not stop, or does not start again."""
    async with devnet() as net:
        await net.rpc.call("setmocktime", NOW + 500)
        net.mine()
        assert net.ledger.tree.tip.time == NOW + 500
        await net.rpc.call("setmocktime", 0)
        assert net.ledger.now() == NOW


async def test_wrong_password() -> None:
    """Catches a server that answers anybody, and a client that hides why it is refused."""
    async with devnet() as net:
        url = net.rpc._url
        for credentials in (None, ("user", "wrong"), ("user", "")):
            async with RpcClient(url, credentials) as rpc:
                with pytest.raises(Unavailable, match="refuses the RPC user or password"):
                    await rpc.call("getblockcount")


async def raw_exchange(port: int, sent: bytes) -> bytes:
    """Send bytes to the server and return all that it answers before it closes."""
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        with (
            anyio.fail_after(10),
            contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError),
        ):
            await stream.send(sent)
            await stream.send_eof()
            while True:
                answer += await stream.receive()
    return answer


async def test_odd_http_is_answered_or_closed() -> None:
    """Catches a server that a bad client can crash: it must go on for the others."""
    async with devnet() as net:
        url = net.rpc._url
        async with httpx.AsyncClient(auth=("user", "secret")) as client:
            assert (await client.get(url)).status_code == 405
            for body in (b"", b"{", b"[]", b"1", b'{"method": 1}', b"\xff" * 100, b"[" * 50_000):
                reply = await client.post(url, content=body)
                assert reply.status_code in (400, 500)
                assert reply.json()["error"]["code"] in (-32600, -32700)
            batch = [{"method": "getblockhash", "params": [at], "id": at} for at in (0, 10**6)]
            found, beyond = (await client.post(url, json=[*batch])).json()
            assert (found["id"], found["error"], len(found["result"])) == (0, None, 64)
            assert (beyond["id"], beyond["error"]["code"]) == (10**6, -8)
            reply = await client.post(url, json={"method": "getblockcount", "params": {}})
            assert reply.json()["error"]["code"] == -32600
        port = int(url.rsplit(":", 1)[1])
        # The server stops reading at its limit, answers and closes; the reset that follows may
        # overtake the answer.
        too_long = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n" + bytes(3 << 20)
        assert (await raw_exchange(port, too_long))[:12] in (b"", b"HTTP/1.1 413")
        for garbage in (b"\x16\x03\x01" * 50, b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000, b"POST"):
            assert (await raw_exchange(port, garbage))[:10] in (b"", b"HTTP/1.1 4", b"HTTP/1.1 5")
        assert await net.rpc.call("getblockcount") == net.ledger.tree.tip.height


async def test_other_requests_are_served_while_blocks_are_mined() -> None:
    """Catches a long call that keeps everybody else waiting until it ends."""
    async with devnet() as net:
        start = net.ledger.tree.tip.height
        seen: list[int] = []
        async with (
            RpcClient(net.rpc._url, ("user", "secret")) as other,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(net.rpc.call, "generatetoaddress", 200, address(USER))
            while not seen or seen[-1] < start + 200:
                seen.append(await other.call("getblockcount"))
        assert len({height for height in seen if start < height < start + 200}) >= 3


async def test_serve_mines_at_intervals_and_names_a_taken_port(tmp_path: Path) -> None:
    """Catches a chain that stands still, and an unclear message when the port is taken."""
    settings = DevnetSettings(directory=tmp_path / "chain", block_interval_s=0.02)
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(_serve, settings)
        async with RpcClient(f"http://127.0.0.1:{port}") as rpc:
            with anyio.fail_after(10):
                while await rpc.call("getblockcount") < 3:
                    await anyio.sleep(0.02)
        taken = DevnetSettings(directory=None, port=port)
        with pytest.raises(UserError, match=f"port {port} is in use"):
            await serve(taken)
        with pytest.raises(UserError, match="in use: stop the chain"):
            await serve(DevnetSettings(directory=tmp_path / "chain"))
        tasks.cancel_scope.cancel()
    assert settings.miner_script == FAUCET_SCRIPT


async def _serve(settings: DevnetSettings, *, task_status: anyio.abc.TaskStatus[int]) -> None:
    await serve(settings, clock=lambda: NOW, task_status=task_status)


async def test_a_chain_that_is_away_is_unavailable() -> None:
    """Catches a dropped connection that surfaces as something else than try-again."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    await listener.aclose()
    async with RpcClient(f"http://127.0.0.1:{port}") as rpc:
        with pytest.raises(Unavailable, match="no answer"):
            await rpc.call("getblockcount")


def test_credentials_file(tmp_path: Path) -> None:
    """Catches an empty password that is taken for one."""
    path = tmp_path / "password"
    path.write_text("node:pass:word\nsecond line\n")
    assert read_credentials(path) == ("node", "pass:word")
    for bad in ("", "node", "node:", ":word"):
        path.write_text(bad)
        with pytest.raises(UserError, match="user:password"):
            read_credentials(path)
    with pytest.raises(UserError, match="cannot read"):
        read_credentials(tmp_path / "missing")
    assert "secret" not in repr(DevnetSettings(directory=None, credentials=("u", "secret")))
