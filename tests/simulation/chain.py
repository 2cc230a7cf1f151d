"""The embedded chain in process: the real ledger, the real adapter, no sockets and no event loop.

:class:`ChainClient` drives ``BitcoinAdapter`` against ``DevnetRpc``; neither ever waits when the
chain is in process, so each coroutine runs to its end in one step.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import define, field, frozen
from coincurve import PrivateKey

from metanode.chains.base import (
    Broadcasted,
    ChainParameters,
    ChainUpdate,
    StakeVerdict,
    TxState,
)
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import Daemon, RpcError
from metanode.custody.scripts import address_of, data_script, key_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction
from metanode.custody.types import Outpoint
from metanode.devnet.faucet import FAUCET_SCRIPT, pay_from_faucet
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.rpc import DevnetRpc
from metanode.devnet.types import DEVNET_HRP, DevnetError
from metanode.devnet.validation import parse_transaction
from metanode.devnet.wallet import sign_with
from metanode.errors import Unavailable

CONFIRMATIONS = 1
USER_FEE = 1000
Answer = TypeVar("Answer")


def at_once(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the chain in process made somebody wait")


class _NoLock:
    """Stands in for the adapter's locks: in a simulation nothing runs side by side."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None

    def locked(self) -> bool:
        return False


class _InProcessRpc(Daemon):
    def __init__(self, ledger: DevnetLedger) -> None:
        self._rpc = DevnetRpc(ledger)
        self.down = False

    async def call(self, method: str, *params: Any) -> Any:
        if self.down:
            raise Unavailable("the simulated daemon is down")
        try:
            return await self._rpc.call(method, list(params))
        except DevnetError as refusal:
            raise RpcError(int(refusal.code), refusal.message) from refusal


class ChainClient:
    """What one node sees of the chain."""

    def __init__(self, ledger: DevnetLedger) -> None:
        self._rpc = _InProcessRpc(ledger)
        parameters = ChainParameters(
            name="devnet", hrp=DEVNET_HRP, final_confirmations=CONFIRMATIONS
        )
        self._adapter = BitcoinAdapter(self._rpc, parameters, _NoLock)
        self.watching = False

    def set_down(self, down: bool) -> None:
        """Take the node's daemon away, or give it back."""
        self._rpc.down = down

    def watch(self, public_key: bytes, start: int) -> None:
        """Watch the custody script from a height on."""
        self._adapter.watch(public_key, start)
        self.watching = True

    def poll(self) -> tuple[ChainUpdate, tuple[Outpoint, ...]]:
        """Return the news of the blocks, and the unconfirmed deposits once they are caught up."""
        update = at_once(self._adapter.poll())
        seen = at_once(self._adapter.mempool_deposits()) if update.caught_up else ()
        return update, seen

    def check_stake(self, peer: bytes, stake: Outpoint, minimum: int) -> StakeVerdict:
        """Judge a stake."""
        return at_once(self._adapter.check_stake(stake, peer, minimum, 72 * 3600))

    def broadcast(self, raw: bytes, txid: bytes) -> Broadcasted:
        """Send a payout."""
        return at_once(self._adapter.broadcast(raw, txid))

    def lookup(self, txid: bytes) -> TxState:
        """Return the state of a transaction."""
        return at_once(self._adapter.lookup(txid)).state


@frozen
class Paid:
    """A deposit as its user made it: where it must go, and what was paid in."""

    outpoint: Outpoint
    amount: int
    payee: bytes
    refund: bytes
    kind: str

    @property
    def script(self) -> bytes:
        """The script that must receive the money."""
        return self.payee if self.kind == "release" else self.refund

    @property
    def other(self) -> bytes:
        """The script that must receive nothing."""
        return self.refund if self.kind == "release" else self.payee


@define
class Users:
    """Makes deposits, each from a key of its own and to a payee of its own."""

    ledger: DevnetLedger
    secrets: Any
    deposits: list[Paid] = field(factory=list)
    _sources: dict[Outpoint, tuple[PrivateKey, UnsignedTransaction]] = field(factory=dict)

    def deposit(self, custody_key: bytes, amount: int, kind: str = "release") -> Paid:
        """Put a deposit into the mempool: with a memo that can be paid, or one that cannot."""
        user = PrivateKey(self.secrets.randbytes(32))
        payee = key_script(PrivateKey(self.secrets.randbytes(32)).public_key.format())
        home = key_script(user.public_key.format())
        funding = pay_from_faucet(self.ledger, [(amount + USER_FEE, home)])
        memo = b"pay:" + address_of(payee, DEVNET_HRP).encode() if kind == "release" else b"what?"
        unsigned = UnsignedTransaction(
            (Input(Outpoint(funding.txid, 0), amount + USER_FEE),),
            (Output(amount, key_script(custody_key)), Output(0, data_script(memo))),
        )
        self.ledger.submit(parse_transaction(sign_with(user, unsigned).hex()))
        made = Paid(Outpoint(unsigned.txid, 0), amount, payee, home, kind)
        self.deposits.append(made)
        self._sources[made.outpoint] = user, unsigned
        return made

    def send_again(self, deposit: Paid) -> None:
        """Send a deposit again that the mempool has forgotten."""
        user, unsigned = self._sources[deposit.outpoint]
        self.ledger.submit(parse_transaction(sign_with(user, unsigned).hex()))

    def take_back(self, deposit: Paid) -> None:
        """Spend what a deposit was made of elsewhere, while it is neither mined nor waiting."""
        user, unsigned = self._sources[deposit.outpoint]
        paid = Output(deposit.amount, FAUCET_SCRIPT)
        elsewhere = UnsignedTransaction(unsigned.inputs, (paid,))
        self.ledger.submit(parse_transaction(sign_with(user, elsewhere).hex()))
        self.deposits.remove(deposit)

    def received(self, script: bytes) -> list[int]:
        """Return the amounts that a script has on the active chain; nobody spends them here."""
        return [coin.amount for coin in self.ledger.tree.coins.values() if coin.script == script]

    def is_settled(self, deposit: Paid) -> bool:
        """Return whether the deposit's money has arrived, in a block."""
        return bool(self.received(deposit.script))

    def mine(self, count: int = 1) -> None:
        """Mine blocks with what the mempool holds."""
        for _ in range(count):
            self.ledger.mine(FAUCET_SCRIPT)
