"""Short days: a network whose nights come every 40 seconds, and what happens to stakes in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from coincurve import PrivateKey

from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.validation import parse_transaction
from metanode.devnet.wallet import sign_with
from tests.simulation.parts import STAKE
from tests.simulation.simulator import QUICK, START, Simulation, with_key

DAY_S = 40
SHORT_DAYS = evolve(QUICK, regroup_period_s=DAY_S)


def network(seed: int, *, seats: int = 0, joiners: int = 0, **options: Any) -> Simulation:
    """Return a network with a key, a moment before a night; ``seats`` are those of each night."""
    def settle(sim: Simulation) -> None:
        for node in sim.nodes:
            node.settings = evolve(node.settings, seats=seats)

    options.setdefault("preset", SHORT_DAYS)
    sim = with_key(seed, begin_s=3 * DAY_S - 8.5, joiners=joiners, watch=settle, **options)
    sim.mine_every(0.7)
    return sim


def night_of(sim: Simulation) -> int:
    """Return the number of the day that goes on."""
    return int(sim.now // DAY_S)


def spend_stake(sim: Simulation, number: int) -> None:
    """Spend a node's stake; the next block has it."""
    node = sim.nodes[number]
    secret = PrivateKey(node.identity.secret_bytes())
    unsigned = UnsignedTransaction(
        (Input(node.settings.stake, STAKE),), (Output(STAKE - 1000, FAUCET_SCRIPT),)
    )
    sim.users.ledger.submit(parse_transaction(sign_with(secret, unsigned).hex()))


def roster(sim: Simulation, number: int = 0) -> list[int]:
    """Return the numbers of the holders, as one node knows them."""
    return sorted(sim.number_of(member) for member in sim.core(number).ctx.epoch.roster)


def hold(sim: Simulation, numbers: Sequence[int], after: int) -> Callable[[], bool]:
    """Return whether exactly these nodes work with shares of an epoch after this one."""

    def reached() -> bool:
        cores = [sim.nodes[number].core for number in numbers]
        return all(
            core is not None and core.ctx.key is not None and core.ctx.key.number > after
            and core.ctx.holds_share for core in cores
        ) and roster(sim, numbers[0]) == sorted(numbers)

    return reached


__all__ = ["DAY_S", "SHORT_DAYS", "START", "hold", "network", "night_of", "roster", "spend_stake"]
