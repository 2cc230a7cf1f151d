"""``sign``, ``keygen``, ``keyrefresh``, ``quorumchange``: what operators ask of a running network.

A request is put to the nodes whose operator you are, and to no others: each operator decides for
their own node. First all of them are checked, and only if none refuses is anything asked.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field

from metanode.cli.common import Command, homes_option
from metanode.cli.progress import progress
from metanode.errors import MetanodeError, UserError

if TYPE_CHECKING:  # loaded when used, see common
    from metanode.runtime.home.home import Home

EXIT_NOT_YET = 1
POLL_S = 0.2
SIGN_WAIT_S = 180.0
KEY_WAIT_S = 900.0
LIMIT_S = 7 * 86_400.0
RESULT_NAMES = (
    "event", "digest", "r", "s", "recovery_id", "der", "epoch", "threshold", "public_key",
    "address", "signers",
)


@define
class Asking:
    """One request, put to the nodes on ``homes``; progress goes to stderr."""

    homes: Sequence[Home]
    kind: str
    fields: Mapping[str, Any]
    event: str = ""
    done: str = ""
    """What the request does, where that is not plain from its kind."""
    expected_s: float | None = None
    """When it is done by the clock, seconds from now, where that is known."""
    _said: list[str] = field(factory=list)

    def put(self) -> None:
        """Check with every node, then ask every node; UserError of the first one that refuses."""
        events = {self._post(home, check=True)["event"] for home in self.homes}
        if len(events) != 1:
            raise UserError(
                "your nodes do not see the same key and epoch: wait until `status` shows the same "
                "key and epoch at each"
            )
        self.event = events.pop()
        for home in self.homes:
            self._post(home, check=False)
        count = len(self.homes)
        self.say(f"asked: {self.kind} at {count} node{'' if count == 1 else 's'}")
        self.say(f"event {self.event}")
        if self.done:
            self.say(self.done)

    def wait(self, seconds: float) -> dict[str, Any]:
        """Return the event when it is done, or as it stands after so long; on a terminal with a
        bar, where the request itself says when it will be done.
        """
        if self.expected_s is None:
            return self._wait(seconds, lambda _s: None)
        with progress("waiting for the key", math.ceil(self.expected_s)) as told:
            return self._wait(seconds, told)

    def _wait(self, seconds: float, told: Callable[[int], None]) -> dict[str, Any]:
        began, shown = time.monotonic(), 0
        deadline = time.monotonic() + seconds
        while True:
            entries = self.look()
            if entries:
                self._show(max(entries, key=_progress))
            done = [entry for entry in entries if entry["status"] == "SUCCESS"]
            # A signature is one for all; new shares count where they are in force.
            if done and (self.kind == "sign" or len(done) == len(entries)):
                return done[0]
            over = [entry for entry in entries if entry["status"] == "EXPIRED"]
            if over and len(over) == len(entries):
                return over[0]
            if time.monotonic() >= deadline:
                return max(entries, key=_progress, default={"event": self.event, "status": "?"})
            time.sleep(POLL_S)
            passed = int(time.monotonic() - began)
            if passed > shown:
                told(passed - shown)
                shown = passed

    def look(self) -> list[dict[str, Any]]:
        """Return the event as each node shows it that answers."""
        from metanode.runtime.operator.admin import fetch_json

        found = []
        for home in self.homes:
            try:
                found.append(fetch_json(home, f"/events/{self.event}"))
            except MetanodeError as fault:
                self.say(str(fault))
        return found

    def say(self, text: str) -> None:
        """Print a line of progress, once."""
        if text not in self._said:
            self._said.append(text)
            click.echo(text, err=True)

    def _show(self, entry: Mapping[str, Any]) -> None:
        attempt = entry["attempt"]
        if attempt is None:
            return
        name = f"attempt {attempt['number']}"
        if attempt["purpose"] != self.kind:
            name = f"{attempt['purpose']}, {name}"
        self.say(f"{name}: coordinated by {attempt['coordinator'][:16]}")
        needed = attempt["votes_needed"]
        self.say(f"{name}: {min(attempt['votes'], needed)} of {needed} voted")
        if attempt["session"] in ("begun", "stepping", "finished"):
            self.say(f"{name}: begun")

    def _post(self, home: Home, *, check: bool) -> dict[str, Any]:
        from metanode.runtime.operator.admin import post

        try:
            return post(home, "/requests", {"kind": self.kind, "check": check, **self.fields})
        except UserError as refusal:
            where = f"{home.path}: " if len(self.homes) > 1 else ""
            raise UserError(f"{where}{refusal}") from refusal


def _progress(entry: Mapping[str, Any]) -> tuple[int, int]:
    attempt = entry["attempt"]
    return (attempt["number"], attempt["votes"]) if attempt else (-1, 0)


def missing(entry: Mapping[str, Any], other: str = "--label") -> str:
    """Return what keeps an event from being done, as far as the node can tell.

    ``other`` is the option that makes another request of one that cannot be met any more.
    """
    attempt, expiry = entry["attempt"], entry.get("expiry")
    if entry["status"] == "EXPIRED":
        return f"the request has expired: ask again with another {other}"
    if expiry is not None and not expiry["same_holders"]:
        return "the key has other holders than when this was asked: ask again"
    if expiry is not None and expiry["renounced_here"]:
        said = f"{expiry['renounced']} of {expiry['needed']} holders have renounced it"
        return f"the time is over, {said}: ask again with another {other}"
    if entry.get("overdue"):
        return "the time is over: ask again"
    if attempt is None:
        return (
            "no attempt is running: enough operators must ask, and one of them must be the "
            "round's coordinator"
        )
    if attempt["votes"] < attempt["votes_needed"]:
        return (
            f"{attempt['votes']} of {attempt['votes_needed']} have voted: "
            "other operators must ask at their nodes"
        )
    return "the signers have begun and are not done yet"


def perform(asking: Asking, wait: float | None, as_json: bool) -> int:
    """Ask, wait, and print what came of it; return the exit code."""
    asking.put()
    if wait is None:
        click.echo(json.dumps({"event": asking.event}) if as_json else asking.event)
        return 0
    entry = asking.wait(wait)
    done = entry["status"] == "SUCCESS"
    if done:
        asking.say("signed" if asking.kind == "sign" else "done")
    else:
        goes_on = f". It goes on; `metanode events --home {asking.homes[0].path}` shows how"
        click.echo(
            f"not done after {wait:g} s: {missing(entry)}"
            f"{'' if entry['status'] == 'EXPIRED' else goes_on}",
            err=True,
        )
    if as_json:
        result = entry.pop("result", None) or {}
        click.echo(json.dumps({**entry, **result}, sort_keys=True))
    elif done:
        for line in result_lines(entry):
            click.echo(line)
    return 0 if done else EXIT_NOT_YET


def result_lines(entry: Mapping[str, Any]) -> list[str]:
    """Return the result of a finished request for people to read."""
    shown = {"event": entry["event"], **(entry["result"] or {})}
    labels = {name: name.replace("_", " ") for name in RESULT_NAMES} | {"der": "DER"}
    names = {name: label for name, label in labels.items() if name in shown}
    width = max(map(len, names.values())) + 2
    lines = []
    for name, label in names.items():
        values = shown[name] if isinstance(shown[name], list) else [shown[name]]
        lines += [f"{label + ':':{width}}{values[0]}"]
        lines += [f"{'':{width}}{value}" for value in values[1:]]
    return lines


def _asking_options(wait_s: float) -> Callable[[Command], Command]:
    def add(function: Command) -> Command:
        for option in (
            click.option("--json", "as_json", is_flag=True, help="The result as JSON."),
            click.option("--no-wait", is_flag=True, help="Ask, print the event, and return."),
            click.option(
                "--wait", type=click.FloatRange(0, LIMIT_S), default=wait_s, show_default=True,
                metavar="S", help="How long to wait for the result, seconds.",
            ),
            homes_option,
        ):
            function = option(function)
        return function

    return add


def _homes(paths: Sequence[Path]) -> list[Home]:
    from metanode.runtime.home.home import Home

    return [Home(path) for path in paths]


def _key(homes: Sequence[Home]) -> dict[str, Any]:
    """Return the key as the first node shows it; the others are checked against it."""
    from metanode.protocol.requests.request import NO_KEY
    from metanode.runtime.operator.admin import fetch_status

    key = fetch_status(homes[0])["key"]
    if key is None:
        raise UserError(NO_KEY)
    return dict(key)


@click.command()
@_asking_options(SIGN_WAIT_S)
@click.option("--digest", required=True, metavar="HEX", help="What to sign: 32 octets in hex.")
@click.option("--label", default="", metavar="TEXT", help="Tells requests for one digest apart.")
def sign(
    homes: tuple[Path, ...], digest: str, label: str, wait: float, no_wait: bool, as_json: bool
) -> int:
    """Sign a digest with the network's key.

    A raw digest can be anything: WHOEVER SIGNS ONE SPENDS WHATEVER IT ALLOWS, all funds of the
    address included. Find out what it is the hash of before you ask.

    Every operator decides for their own node. The signature is made as soon as so many operators
    have asked for the same digest, with the same label, as the key's threshold demands; asking
    again returns the same signature. A request whose time is over expires: from then on the same
    can be asked for with another label only. Exit code: 0 signed, 1 not yet, 2 refused.
    """
    places = _homes(homes)
    fields = {"key_id": _key(places)["key_id"], "digest": digest, "label": label}
    asking = Asking(places, "sign", fields)
    return perform(asking, None if no_wait else wait, as_json)


@click.command()
@_asking_options(KEY_WAIT_S)
def keygen(homes: tuple[Path, ...], wait: float, no_wait: bool, as_json: bool) -> int:
    """Make the network's key, or wait for it.

    On a network with keygen = "command" no key is made before the operators of all members have
    asked. Done when the key is locked in: its address never changes from then on. Exit code: 0
    locked in, 1 not yet, 2 refused: a key is there already, or this node joins one.
    """
    from metanode.runtime.operator.admin import fetch_status

    places = _homes(homes)
    asking = Asking(places, "keygen", {})
    mode, now = fetch_status(places[0])["keygen"], time.time()
    asking.done = keygen_words(mode, now)
    if mode["mode"] == "clock" and mode["until"] > now:
        asking.expected_s = mode["until"] - now
    return perform(asking, None if no_wait else wait, as_json)


def keygen_words(keygen: Mapping[str, Any], now: float) -> str:
    """Return what a request for a key does on a network, by its mode."""
    if keygen["mode"] == "command":
        return f"the key is made when the operators of all {keygen['members']} members have asked"
    left = keygen["until"] - now
    if left <= 0:
        return "keys are made by the clock until one is certified: this command only waits for it"
    return (
        f"keys are made by the clock, whoever asks, and the newest is locked in in {left:.0f} s: "
        "this command only waits for it"
    )


@click.command()
@_asking_options(KEY_WAIT_S)
def keyrefresh(homes: tuple[Path, ...], wait: float, no_wait: bool, as_json: bool) -> int:
    """Renew the shares of the key: what was stolen before is worth nothing afterwards.

    The key, its address and its holders stay. Every operator decides for their own node. Exit
    code: 0 renewed, 1 not yet, 2 refused.
    """
    places = _homes(homes)
    key = _key(places)
    fields = {"key_id": key["key_id"], "epoch": key["epoch"]}
    return perform(Asking(places, "keyrefresh", fields), None if no_wait else wait, as_json)


@click.command()
@_asking_options(KEY_WAIT_S)
@click.option("--replace", multiple=True, metavar="OLD=NEW", help="One holder by another node.")
@click.option("--add", multiple=True, metavar="ID", help="A node that becomes a holder.")
@click.option("--remove", multiple=True, metavar="ID", help="A holder that leaves.")
@click.option("--threshold", type=int, metavar="T", help="t, holders needed to sign.")
@click.option("--byzantine", type=int, metavar="F", help="f, holders that may lie.")
def quorumchange(
    homes: tuple[Path, ...], replace: tuple[str, ...], add: tuple[str, ...],
    remove: tuple[str, ...], threshold: int | None, byzantine: int | None, wait: float,
    no_wait: bool, as_json: bool,
) -> int:
    """Change who holds the key, or how many are needed to sign.

    The key and its address stay. WHO HOLDS A SHARE AFTERWARDS CAN SIGN WITH THE OTHERS: check
    every new id with its operator. Every operator decides for their own node. Without --threshold
    it stays while the number of holders does, else floor(2n/3)+1; without --byzantine the most
    that such a quorum bears. Exit code: 0 in force, 1 not yet, 2 refused.
    """
    places = _homes(homes)
    key = _key(places)
    members = changed_members(key["roster"], replace, add, remove)
    fields = {
        "key_id": key["key_id"],
        "epoch": key["epoch"],
        "members": members,
        **changed_numbers(key, len(members), threshold, byzantine),
    }
    return perform(Asking(places, "quorumchange", fields), None if no_wait else wait, as_json)


def changed_members(
    roster: Sequence[str], replace: Sequence[str], add: Sequence[str], remove: Sequence[str]
) -> list[str]:
    """Return the holders after a change, sorted; UserError names the first option that is wrong."""
    leaving, joining = [text.lower() for text in remove], [text.lower() for text in add]
    for pair in replace:
        old, equals, new = pair.lower().partition("=")
        if not equals:
            raise UserError(f"--replace {pair[:150]}: write OLD=NEW, two node ids")
        leaving.append(old)
        joining.append(new)
    for old in leaving:
        if old not in roster:
            raise UserError(f"{old[:70]} is no holder and cannot leave: `status` lists the roster")
    for new in joining:
        if new in roster:
            raise UserError(f"{new[:70]} is a holder already: name only nodes that hold no share")
    if len(set(leaving)) != len(leaving) or len(set(joining)) != len(joining):
        raise UserError("a node id is given twice: name each node once")
    return sorted((set(roster) - set(leaving)) | set(joining))


def changed_numbers(
    key: Mapping[str, Any], holders: int, shares: int | None, faulty: int | None
) -> dict[str, int]:
    """Return t and f of the new quorum, those that are not given by the rule of the help."""
    from spec.parameters import threshold

    if shares is None:
        same = holders == len(key["roster"])
        shares = key["threshold"] if same else threshold(holders)
    if faulty is None:
        faulty = max(0, min(2 * shares - holders - 1, holders - shares))
    return {"threshold": shares, "byzantine": faulty}
