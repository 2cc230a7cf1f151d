"""``custody``: the coins that no round pays, and how the operators take them out together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field

from metanode.cli.common import home_option, homes_option
from metanode.cli.requests import EXIT_NOT_YET, LIMIT_S, POLL_S, missing
from metanode.errors import MetanodeError, UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.home import Home

WAIT_S = 30.0
TAKEN = ("sent", "known")
"""What became of a transaction that a daemon has."""


@click.group()
def command() -> None:
    """List the coins that no round pays, and release them.

    These are deposits below the minimum, and those that have neither a payee nor a way back.
    """


# --- held -----------------------------------------------------------------------------------------


@command.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="The coins as JSON.")
def held(home: Path, as_json: bool) -> None:
    """List the coins that no round pays, each with the command that releases it."""
    from metanode.runtime.home.home import Home
    from metanode.runtime.operator.admin import fetch_json

    found = fetch_json(Home(home), "/held")
    if as_json:
        click.echo(json.dumps(found, indent=2, sort_keys=True))
        return
    for line in held_lines(found, home):
        click.echo(line)


def held_lines(found: Mapping[str, Any], home: Path) -> Iterator[str]:
    """Yield the list for people to read."""
    if found["count"]:
        yield f"no round pays {_coins(found['count'], found['total'])}"
    else:
        yield "there is nothing to release: rounds pay every deposit that this node knows"
    for coin in found["coins"]:
        yield coin["outpoint"]
        yield f"  amount:  {coin['amount']}"
        yield f"  block:   {coin['height']}"
        yield f"  reason:  {coin['kind']}: {coin['reason']}"
        yield f"  release: metanode custody release --home {home} {coin['outpoint']} ADDRESS"
    if found["count"] > len(found["coins"]):
        yield f"and {found['count'] - len(found['coins'])} more, which are shown when these are out"
    if found["change_count"]:
        yield f"change for the next payouts: {_coins(found['change_count'], found['change_total'])}"


def _coins(count: int, amount: int) -> str:
    return f"{count} coin{'' if count == 1 else 's'} of {amount} base units in all"


# --- release --------------------------------------------------------------------------------------


@define
class Releasing:
    """A release, put to the nodes on ``homes``; progress goes to stderr."""

    homes: Sequence[Home]
    fields: dict[str, Any]
    _said: list[str] = field(factory=list)

    def build(self) -> dict[str, Any]:
        """Have every node check and build it; UserError of the first one that refuses."""
        shown = [self._post(home, "check") for home in self.homes]
        if len({each["txid"] for each in shown}) != 1:
            raise UserError(
                "your nodes do not build the same transaction: compare [custody] of their "
                "configurations"
            )
        self.fields["fee_rate"] = rate = shown[0]["fee_rate"]
        wanted = max(each["daemon_rate"] for each in shown)
        if shown[0]["raw"] is None and wanted > rate:
            self.say(
                f"note: a daemon takes no less than {wanted} a vB now: it will refuse this release "
                "until fees fall, or name another --fee-rate"
            )
        return shown[0]

    def ask(self) -> dict[str, Any]:
        """Ask every node for what is not signed; return what the first one knows then."""
        shown = [self._post(home, "ask") for home in self.homes]
        count = len(shown[0]["events"])
        self.say(
            f"asked: {count} signature{'' if count == 1 else 's'} at {len(self.homes)} "
            f"node{'' if len(self.homes) == 1 else 's'}"
        )
        return shown[0]

    def wait(self, shown: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the release once it is signed, or as it stands after so long."""
        deadline = time.monotonic() + seconds
        while shown["raw"] is None and shown["block"] is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
            try:
                shown = self._post(self.homes[0], "check")
                self._show(shown)
            except MetanodeError as fault:  # it may pass, such as a holder that is down
                self.say(str(fault))
        return shown

    def send(self) -> dict[str, Any]:
        """Have the first node send it; return what it knows then."""
        return self._post(self.homes[0], "send")

    def waits_for(self, shown: Mapping[str, Any]) -> str:
        """Return what keeps the first digest that is not signed from being so."""
        entry = self._entry(shown)
        return "" if entry is None else missing(entry, "--fee-rate")

    @property
    def command(self) -> str:
        """What the other operators run: the same release, with every number in it."""
        words = (
            "metanode custody release --home DIR --fee-rate", str(self.fields["fee_rate"]),
            *self.fields["outpoints"], self.fields["address"],
        )
        return " ".join(words)

    def say(self, text: str) -> None:
        """Print a line of progress, once."""
        if text not in self._said:
            self._said.append(text)
            click.echo(text, err=True)

    def _show(self, shown: Mapping[str, Any]) -> None:
        entry = self._entry(shown)
        if entry is not None and entry["attempt"] is not None:
            attempt, needed = entry["attempt"], entry["attempt"]["votes_needed"]
            votes = min(attempt["votes"], needed)
            self.say(f"attempt {attempt['number']}: {votes} of {needed} operators have asked")

    def _entry(self, shown: Mapping[str, Any]) -> dict[str, Any] | None:
        from metanode.runtime.operator.admin import fetch_json

        if not shown["events"]:
            return None
        return fetch_json(self.homes[0], f"/events/{shown['events'][0]}")

    def _post(self, home: Home, step: str) -> dict[str, Any]:
        from metanode.runtime.operator.admin import post

        try:
            return post(home, "/releases", {"step": step, **self.fields})
        except UserError as refusal:
            where = f"{home.path}: " if len(self.homes) > 1 else ""
            raise UserError(f"{where}{refusal}") from refusal


@command.command()
@homes_option
@click.argument("outpoints", nargs=-1, required=True, metavar="OUTPOINT...")
@click.argument("address")
@click.option(
    "--fee-rate", type=int, metavar="R",
    help="Base units a vB; without it the least that the network's settings allow.",
)
@click.option(
    "--wait", type=click.FloatRange(0, LIMIT_S), default=WAIT_S, show_default=True, metavar="S",
    help="How long to wait for the signatures, seconds.",
)
@click.option("--send", is_flag=True, help="Send it to the chain once it is signed.")
@click.option("--json", "as_json", is_flag=True, help="The release as JSON.")
def release(
    homes: tuple[Path, ...], outpoints: tuple[str, ...], address: str, fee_rate: int | None,
    wait: float, send: bool, as_json: bool,
) -> int:
    """Pay coins that no round pays to an ADDRESS, all of them less the mining fee.

    OUTPOINT is txid:index, as `custody held` lists it; several coins go in one transaction. Every
    operator decides for their own node: when as many have named the same coins, address and fee
    rate as the key's threshold demands, the nodes sign. The same command again shows how far it is,
    and the transaction once it is signed. Exit code: 0 signed (with --send: sent), 1 not yet, 2
    refused.
    """
    from metanode.runtime.home.home import Home

    fields: dict[str, Any] = {"outpoints": list(outpoints), "address": address}
    if fee_rate is not None:
        fields["fee_rate"] = fee_rate
    releasing = Releasing([Home(path) for path in homes], fields)
    shown = releasing.build()
    if shown["raw"] is None and shown["block"] is None:
        shown = releasing.ask()
        releasing.say(f"the other operators run: {releasing.command}")
        shown = releasing.wait(shown, wait)
    done = signed = shown["raw"] is not None or shown["block"] is not None
    for line in () if as_json else release_lines(shown, address):
        click.echo(line)
    if signed and send and shown["block"] is None:
        shown = releasing.send()
        result, reason = shown["sent"]["result"], shown["sent"]["reason"]
        done = result in TAKEN
        if not as_json:
            click.echo(f"daemon:      {result}{': ' + reason if reason else ''}")
    if as_json:
        click.echo(json.dumps(shown, sort_keys=True))
    if not signed:
        click.echo(
            f"not signed yet: {releasing.waits_for(shown)}. It goes on; the same command shows how",
            err=True,
        )
    return 0 if done else EXIT_NOT_YET


def release_lines(shown: Mapping[str, Any], address: str) -> Iterator[str]:
    """Yield a release for people to read."""
    count = len(shown["inputs"])
    yield f"transaction: {shown['txid']}"
    yield f"pays:        {shown['paid']} to {address}"
    yield f"fee:         {shown['fee']}, {shown['fee_rate']} a vB"
    for number, outpoint in enumerate(shown["inputs"]):
        yield f"{'coins:' if number == 0 else '':13}{outpoint}"
    yield f"signed:      {shown['signed']} of {count}"
    if shown["raw"] is not None:
        yield f"raw:         {shown['raw']}"
    if shown["block"] is not None:
        yield f"in block:    {shown['block']}"
