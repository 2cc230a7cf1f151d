"""``wallet``: the node's own coins, which are its stake and its rewards."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from metanode.cli.common import home_option, obtain_passphrase, settle_passphrase
from metanode.cli.progress import progress
from metanode.errors import UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.chains.base import Broadcasted
    from metanode.chains.rpc import RpcClient
    from metanode.custody.withdrawal import Withdrawal
    from metanode.runtime.home.config import Config
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.wallet import Balance

Done = TypeVar("Done")
EXIT_NOT_SENT = 1
TAKEN = ("sent", "known")
"""What became of a transaction that a daemon has."""


@click.group()
def command() -> None:
    """Show and withdraw what this node owns: its stake and its rewards.

    All of it lies at the address of the identity's key. Amounts are in the chain's base unit.
    """


def _read(path: Path) -> tuple[Home, Config, bytes]:
    from metanode.runtime.home.config import load_config
    from metanode.runtime.home.home import Home
    from metanode.runtime.secrets.keystore import read_node_id

    home = Home(path)
    return home, load_config(home.config), read_node_id(home.identity)


@command.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="Address and chain as JSON.")
def address(home: Path, as_json: bool) -> None:
    """Show the address of stake and rewards."""
    from metanode.runtime.operator.wallet import address_of

    _, config, node_id = _read(home)
    found, chain = address_of(config, node_id), config.chain.chain or config.chain.hrp
    click.echo(json.dumps({"chain": chain, "address": found}) if as_json else found)


@command.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="The balance as JSON.")
def balance(home: Path, as_json: bool) -> None:
    """Show the stake, the rewards, and the coins that they lie in.

    The chain daemon looks through all unspent outputs for that, which takes minutes on a large
    chain.
    """
    from metanode.runtime.operator import wallet

    place, config, node_id = _read(home)

    async def ask(rpc: RpcClient) -> Balance:
        return await wallet.balance(rpc, config, node_id)

    found = _with_daemon(place, config, ask).plain()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    stake = found["stake"]
    click.echo(f"chain:   {found['chain']}")
    click.echo(f"address: {found['address']}")
    click.echo(
        "stake:   none is unspent" if stake is None
        else f"stake:   {stake['amount']} in {stake['outpoint']}"
    )
    click.echo(f"rewards: {found['rewards']} in {len(found['coins'])} coins")
    for coin in found["coins"]:
        click.echo(f"  {coin['amount']:>14} {coin['outpoint']}")


@command.command()
@home_option
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Who is paid.")
@click.option(
    "--amount", type=click.IntRange(min=1), metavar="UNITS",
    help="How much; without it all, less the fee.",
)
@click.option(
    "--stake", "stake", count=True,
    help="Withdraw the stake too; a holder of a share must say it twice.",
)
@click.option("--fee-rate", type=click.IntRange(min=1), metavar="N", help="Base units a vB.")
@click.option("--yes", is_flag=True, help="Do not ask before it is signed and sent.")
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path),
    help="File with the passphrase (mode 0600), instead of the configured one or a prompt.",
)
@click.option("--json", "as_json", is_flag=True, help="The transaction as JSON; needs --yes.")
def withdraw(
    home: Path, address: str, amount: int | None, stake: int, fee_rate: int | None, yes: bool,
    passphrase_file: Path | None, as_json: bool,
) -> int:
    """Pay from this node's coins to ADDRESS: rewards, and with --stake the stake.

    The transaction is shown, then signed with the identity's key and handed to the chain daemon.
    A node whose stake is spent gets no reward from the next payout on, and is no holder after the
    next night. Exit code: 0 the daemon has it, 1 the daemon refused it, 2 refused here.
    """
    from metanode.runtime.doctor.patient import is_running
    from metanode.runtime.operator import wallet
    from metanode.runtime.secrets.keystore import load_identity

    place, config, node_id = _read(home)
    if not yes and (as_json or not sys.stdin.isatty()):
        raise UserError("nothing is sent without a word: add --yes, or run it in a terminal")
    if stake == 1 and wallet.holds_share(place, node_id, runs=is_running(place)):
        raise UserError(
            "this node holds a share of the key, and without its stake it is put out in the next "
            "night: to withdraw the stake all the same, say --stake twice"
        )
    settle_passphrase(place)
    identity = load_identity(place.identity, obtain_passphrase(home, config, passphrase_file))
    async def prepare(rpc: RpcClient) -> Withdrawal:
        return await wallet.build(
            rpc, config, node_id, address, amount=amount, with_stake=stake > 0, fee_rate=fee_rate
        )

    built = _with_daemon(place, config, prepare)
    shown = _plain(built, address)
    if not as_json:
        _show(shown)
    if not yes and not click.confirm("sign and send it?", err=True):
        return _report(None, shown, as_json)

    async def pay(rpc: RpcClient) -> Broadcasted:
        return await wallet.send(rpc, config, identity, built, lambda raw: shown.update(raw=raw))

    return _report(_with_daemon(place, config, pay), shown, as_json)


def _with_daemon(home: Home, config: Config, work: Callable[[RpcClient], Awaitable[Done]]) -> Done:
    """Do something that may make the daemon look through all its outputs, with a bar meanwhile."""
    import anyio

    from metanode.runtime.operator import wallet

    async def run(told: Callable[[int], None]) -> Done:
        found: list[Done] = []
        async with wallet.client(home, config) as rpc, anyio.create_task_group() as tasks:
            tasks.start_soon(wallet.tell_scan, home, config, told)
            found.append(await work(rpc))
            tasks.cancel_scope.cancel()
        return found[0]

    with progress("the daemon looks for coins", 100) as told:
        return anyio.run(run, told, backend="trio")


def _plain(built: Withdrawal, address: str) -> dict[str, Any]:
    return {
        "transaction": built.txid.hex(), "to": address, "pays": built.paid,
        "fee": built.transaction.fee, "change": built.change,
        "coins": [str(coin) for coin in built.coins],
    }


def _show(shown: dict[str, Any]) -> None:
    click.echo(f"transaction: {shown['transaction']}")
    click.echo(f"pays:        {shown['pays']} to {shown['to']}")
    click.echo(f"fee:         {shown['fee']}")
    click.echo(f"change:      {shown['change']}")
    for number, coin in enumerate(shown["coins"]):
        click.echo(f"{'' if number else 'coins:':12} {coin}")


def _report(done: Broadcasted | None, shown: dict[str, Any], as_json: bool) -> int:
    """Say what became of the payment; return the exit code."""
    result = "not sent" if done is None else done.result
    reason = "" if done is None else done.reason
    if as_json:
        click.echo(json.dumps({**shown, "result": result, "reason": reason}, indent=2))
    else:
        click.echo(f"daemon:      {result}{f' ({reason})' if reason else ''}")
    return 0 if result in TAKEN else EXIT_NOT_SENT
