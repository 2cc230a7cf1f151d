"""The commands that take out what no round pays, at simulated nodes behind real admin servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from metanode.chains.base import Broadcasted
from metanode.cli.custody import Releasing, held_lines
from metanode.custody.scripts import address_of, key_script
from metanode.errors import UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import AdminServer
from metanode.runtime.operator.desk import Desk
from tests.cli.conftest import Run
from tests.simulation.releasing import ADDRESS, PAYEE, mine, with_dust
from tests.simulation.simulator import QUICK, Simulation

ROUND_S = QUICK.round_period_s
BITCOIN = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"  # BIP173


def desk_of(sim: Simulation, number: int, refuses: str) -> Desk:
    """Return the desk of a simulated node; time stands still while it answers."""
    node = sim.nodes[number]

    async def put(entry: Any) -> None:
        sim._input(node, lambda _core, now: entry(now))

    async def send(raw: bytes, txid: bytes) -> Broadcasted:
        if refuses == "away":
            raise UserError("the chain daemon gives no answer (it takes too long)")
        return Broadcasted("rejected", refuses) if refuses else node.chain.broadcast(raw, txid)

    return Desk(sim.core(number), put, send)


@contextmanager
def serving(sim: Simulation, place: Path, refuses: str = "") -> Iterator[list[Path]]:
    """Run an admin server for each node in a thread and yield the homes.

    The chain's daemon ``refuses`` what it is sent with these words, or is "away".
    """
    homes = [place / f"n{number}" for number in range(len(sim.nodes))]
    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for number, home in enumerate(homes):
                home.mkdir(exist_ok=True)
                desk = desk_of(sim, number, refuses)
                server = AdminServer(
                    Home(home), Endpoint("127.0.0.1", 0), dict, bytes,
                    pages={"events": desk.events, "held": desk.held},
                    actions={"releases": desk.release},
                )
                await tasks.start(server.serve)
            ready.set()
            await anyio.to_thread.run_sync(stop.wait)
            tasks.cancel_scope.cancel()

    thread = threading.Thread(target=lambda: anyio.run(run, backend="trio"))
    thread.start()
    assert ready.wait(20)
    try:
        yield homes
    finally:
        stop.set()
        thread.join()


def at(*homes: Path) -> list[object]:
    """Return the options that name homes."""
    return [word for home in homes for word in ("--home", home)]


def test_operators_list_release_and_send_what_no_round_pays(tmp_path: Path, run: Run) -> None:
    """Catches a list without a way out, operators who do not meet, and a payment not sent."""
    sim, outpoints = with_dust(1, 3_000, 4_000)
    with serving(sim, tmp_path) as homes:
        code, out, errors = run("custody", "held", *at(homes[0]))
        assert (code, errors) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "no round pays 2 coins of 7000 base units in all"
        assert f"  release: metanode custody release --home {homes[0]} {outpoints[0]} ADDRESS" in (
            lines
        )
        assert "  reason:  ignored: 3000 is below the minimum deposit of 50000" in lines
        release = partial(run, "custody", "release", *outpoints, ADDRESS, "--wait", 0)
        code, out, errors = release(*at(homes[0]))
        assert code == 1
        assert "signed:      0 of 2" in out.splitlines()
        said = errors.splitlines()
        assert said[0] == "asked: 2 signatures at 1 node"
        command = said[1].removeprefix("the other operators run: metanode ").split()
        assert command[:6] == ["custody", "release", "--home", "DIR", "--fee-rate", "1"]
        assert said[2].startswith("not signed yet: no attempt is running: enough operators")
        command[3] = str(homes[1])
        assert run(*command, "--home", homes[2], "--wait", 0)[0] == 1
        first = json.loads(release(*at(homes[0]), "--json")[1])
        sim.run(9 * ROUND_S)
        code, out, errors = release(*at(*homes[:3]), "--json")
        shown = json.loads(out)
        assert (code, errors, shown["signed"]) == (0, "", 2)
        assert shown["txid"] == first["txid"]
        assert sim.users.received(PAYEE) == []
        code, out, errors = release(*at(homes[1]), "--send")
        assert (code, errors) == (0, "")
        assert out.splitlines()[-2:] == [f"raw:         {shown['raw']}", "daemon:      sent"]
        out = release(*at(homes[3]), "--send")[1]
        assert out.splitlines()[-1] == "daemon:      known", "who asks late is told by the others"
        mine(sim)
        assert sim.users.received(PAYEE) == [shown["paid"]]
        code, out, _ = release(*at(homes[3]))
        assert (code, out.splitlines()[-1].split()[:2]) == (0, ["in", "block:"])
        code, out, _ = run("custody", "held", *at(homes[0]))
        said_none = "there is nothing to release: rounds pay every deposit that this node knows\n"
        assert (code, out) == (0, said_none)
        assert json.loads(run("custody", "held", *at(homes[0]), "--json")[1])["coins"] == []


@pytest.mark.parametrize(
    ("refuses", "code", "said"),
    [
        ("min relay fee not met", 1, "daemon:      rejected: min relay fee not met"),
        ("away", 2, "the chain daemon gives no answer (it takes too long)"),
    ],
)
def test_what_the_daemon_says_is_said(
    tmp_path: Path, run: Run, refuses: str, code: int, said: str
) -> None:
    """Catches money that is thought to be on its way, and a failure without a word."""
    sim, outpoints = with_dust(2, 3_000)
    with serving(sim, tmp_path, refuses) as homes:
        command = ["custody", "release", *outpoints, ADDRESS, "--send", "--wait", 0, *at(*homes)]
        assert run(*command)[0] == 1
        sim.run(5 * ROUND_S)
        found, out, errors = run(*command)
        assert (found, said in (out + errors).splitlines()[-1]) == (code, True)
        assert "raw:" in out, "it can be sent by other means"


def test_each_mistake_is_one_line_that_says_what_to_do(tmp_path: Path, run: Run) -> None:
    """Catches a mistake that is taken for something else, or asked of some nodes only."""
    sim, (coin,) = with_dust(3, 300)
    paid = str(sim.deposit().outpoint)
    sim.run(1.0)
    sim.users.mine()
    sim.run(0.3)
    custody = address_of(key_script(sim.public_key), "bcrt")
    cases = [
        (["ab:0", ADDRESS], "'ab:0' is not txid:index (64 lower-case hex digits, a number): copy"),
        (["ab" * 32 + ":0", ADDRESS], f"{'ab' * 32}:0 is no coin of the custody in this node's"),
        ([coin, coin, ADDRESS], "an outpoint is given twice: name each coin once"),
        ([paid, ADDRESS], f"{paid} is paid by a round, without you: `status` says what it waits"),
        ([coin, ADDRESS], "300 less a fee of 110 is too little, since daemons relay no less than"),
        ([coin, BITCOIN], f"'{BITCOIN}' belongs to another chain: use an address of bcrt1"),
        ([coin, custody], f"{custody} is the custody's own address: name one that pays somebody"),
        ([coin, ADDRESS, "--fee-rate", 0], "a fee rate of 0 is out of bounds: use one from 1 to"),
        ([coin, ADDRESS, "--fee-rate", "x"], "Invalid value for '--fee-rate'"),
        ([coin], "Missing argument 'OUTPOINT...'"),
        ([coin, ADDRESS, "--wait", -1], "Invalid value for '--wait'"),
    ]
    with serving(sim, tmp_path) as homes:
        for words, complaint in cases:
            code, out, errors = run("custody", "release", *at(homes[0]), *words)
            assert (code, out) == (2, ""), words
            assert errors.startswith(f"error: {complaint}"), errors
            assert errors.count("\n") == 1
        code, _, errors = run("custody", "release", *at(*homes[:2]), coin, ADDRESS)
        assert (code, errors.startswith(f"error: {homes[0]}: 300 less")) == (2, True)
    assert not any(node.core and node.core.requests.asked for node in sim.nodes)
    for words in (["held"], ["release", coin, ADDRESS]):
        code, _, errors = run("custody", *words, "--home", tmp_path / "nowhere")
        assert (code, errors.startswith("error: no home at")) == (2, True)


def test_nodes_that_build_another_transaction_are_not_asked(tmp_path: Path, run: Run) -> None:
    """Catches operators who ask for what can never meet."""
    sim, (coin,) = with_dust(4, 3_000)
    ctx = sim.core(1).ctx
    ctx.settings = evolve(ctx.settings, custody=evolve(ctx.settings.custody, fee_rate_floor=2))
    with serving(sim, tmp_path) as homes:
        code, _, errors = run("custody", "release", *at(*homes[:2]), coin, ADDRESS)
        assert (code, "your nodes do not build the same transaction" in errors) == (2, True)
    assert not sim.core(0).requests.asked


def test_a_rate_that_the_daemon_refuses_is_told_before_it_is_signed(
    tmp_path: Path, run: Run
) -> None:
    """Catches operators who sign what they cannot send, and ask each other anew."""
    sim, (coin,) = with_dust(5, 3_000)
    with serving(sim, tmp_path) as homes:
        sim.core(1).candidates.fee_floor = 3
        command = ["custody", "release", *at(*homes[:2]), coin, ADDRESS, "--wait", 0.3]
        assert "note: a daemon takes no less than 3 a vB now" in run(*command)[2]
        assert "note: " not in run(*command, "--fee-rate", 3)[2]


def test_progress_tells_how_many_operators_have_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an operator who cannot see whom the release waits for, or is told it ten times."""
    entry = {"attempt": {"number": 7, "votes": 2, "votes_needed": 3}, "status": "PENDING"}
    monkeypatch.setattr("metanode.runtime.operator.admin.fetch_json", lambda _home, _page: entry)
    releasing, shown = Releasing([Home(Path("n1"))], {}), {"events": ["ab"]}
    for _ in range(2):
        releasing._show(shown)
    assert capsys.readouterr().err == "attempt 7: 2 of 3 operators have asked\n"
    assert releasing.waits_for(shown).startswith("2 of 3 have voted: other operators must ask")
    entry["status"] = "EXPIRED"
    assert releasing.waits_for(shown).endswith("expired: ask again with another --fee-rate")


def test_a_long_list_says_how_much_it_leaves_out() -> None:
    """Catches coins that an operator never hears of, and change that is taken for them."""
    coin = {"outpoint": "ab:0", "amount": 5, "height": 7, "kind": "held", "reason": "no memo"}
    found = {"coins": [coin], "count": 3, "total": 9, "change_count": 1, "change_total": 4}
    lines = list(held_lines(found, Path("n1")))
    assert lines[0] == "no round pays 3 coins of 9 base units in all"
    assert lines[-2:] == [
        "and 2 more, which are shown when these are out",
        "change for the next payouts: 1 coin of 4 base units in all",
    ]
