"""What may happen when something comes in: the node's dispatch, as text.

An *input* is a message, a tick of the clock, news of the chain, a change of a link or what the
operator asks. Each names who may send it, the window in which it is taken, and its *steps* in
order. A step is a list of *triggers*, ``table.Event``, in the order in which they are tried for one
individual after another: a trigger that its table does not allow now is passed over, and a list may
be begun again for the next individual. The node runs this text (``metanode/protocol/node.py``),
``metanode/protocol/tables/runner.py`` refuses to fire anything else, and each line of a trace says
under which input, in which step and for which individual it was fired, which ``model_checks
conformance`` checks by :func:`position_after`.

A message from a sender that may not send it, or out of its window, is ignored. What else is wrong
with a message is found when it is *admitted*, by the core whose subject it is; it is noted in the
network cell of its class, under its own index, before the steps run.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any, get_type_hints

from attrs import frozen

from spec.language.declarations import SpecError
from spec.messages import ENVELOPED, HANDSHAKE
from spec.protocol import PROTOCOL

SENDERS: Mapping[str, str] = {
    "itself": "the node: its clock, its chain, its operator, its links",
    "channel": "the other end of a connection that has proved nothing yet",
    "anyone": "any peer with an established link",
    "staked": "a peer that takes part, or whose stake held when the chain was last asked; the peer"
              " list does not count, because what it says of silence is wrong of one that speaks",
    "part": "a holder of the epoch in force, or a peer that is to become one; without a key, a peer"
            " whose stake held when the chain was last asked",
    "holder": "a holder of the epoch in force, other than the node itself",
}
"""Who may send: each name is a rule that the node's dispatch has under this name."""

WINDOWS: Mapping[str, str] = {
    "always": "",
    "round": "its round is the current one, or one of the next that are buffered (F-12)",
    "attempt": "its attempt is of the last two rounds, the current or the next one; without a key,"
               " any attempt is taken",
}
"""When a message is taken: each name is a rule that the node's dispatch has under this name."""

PASSED_ON: Mapping[str, str] = {
    "ping": "of a holder or of a listed peer, one a round: that it is there",
    "publish": "a deposit that its signer had not named before",
    "signature_found": "signatures that have just been stored here",
    "complaint": "of a member of a dealing that goes on, to that member",
    "answer": "the first one to a complaint, to whom it was made by",
    "opened": "of an answer that is known here, and void",
    "proven": "a record that convicts",
}
"""What a node passes on to those that have no link with the signer, and when: what all must hear.
Who may send is a rule about the signer, not about who passes the message on. What else is said
concerns holders and those who are to become holders, who are linked with each other."""

HIDDEN_FROM_NOBODY = ("complaint", "answer", "opened", "proven")
"""Of these, what is passed on also among those who are linked with the signer: a liar could hide it
from one of them, and two that hear each other no more are no liars for that (F-43)."""


@frozen
class Step:
    """A list of triggers under a name, tried in order for each individual that is at hand."""

    name: str
    triggers: tuple[str, ...]
    meaning: str


def step(name: str, triggers: str, meaning: str) -> Step:
    """Declare a step; its triggers are separated by spaces."""
    return Step(name, tuple(triggers.split()), meaning)


_RETRY = "event.Recover event.Retry"
_PREPARE = f"event.Create {_RETRY} event.Setup"
_TAKE_UP = f"session.Supersede event.Create {_RETRY}"
_TELL = "regroup.ShowLock regroup.HandOver"

STEPS = {each.name: each for each in (
    # peers
    step("ping_sent", "peer.Ping", "a ping is due"),
    step("ping_taken", "ping.Ping block_list.GoodPing", "the ping at hand, also the node's own"),
    step("silence", "ping.Silence block_list.Silence", "peers that have not pinged for too long"),
    step("blocks_over", "block_list.Over", "blocks that have run out"),
    step("list_cleared", "ping.Boundary", "at a round's boundary, each entry of the peer list"),
    step("stake_judged", "ping.Stake", "the chain has answered about a stake"),
    step("evidence", "round.Equivocate block_list.Block", "the message at hand contradicts another"
         " one that its sender has signed"),
    step("pardon", "block_list.Pardon", "the operator lifts the ban of a peer"),
    step("endpoints_told", "peer.Keepalive", "peering has endpoints to tell"),
    step("sightings_told", "peer.Publish", "deposits that this node has seen and has not told yet"),
    step("confirms_asked", "peer.ConfirmReq", "what this node lacks of open events, and the peers"
         " that must show that they are alive"),
    step("confirm_answered", "peer.ConfirmAck", "the question at hand"),
    step("begin_told", "session.TellBegin", "the attempts of this node that the question is about"),
    # attempts and their runs
    step("attempt_proposed", f"{_TAKE_UP} session.Coordinate event.Setup session.Ack",
         "an attempt that is this node's to coordinate"),
    step("setup_judged", f"{_TAKE_UP} session.Setup event.Setup session.Ack",
         "set-ups that wait for this node's own view"),
    step("convened", "session.Convene", "attempts that this node coordinates and that have votes"),
    step("begun", "session.Begin session.NotChosen event.Recover", "the certificate at hand"),
    step("run_begun", "keygen.Start session.Release", "a session that has begun"),
    step("run_moved", "session.Step", "messages of runs: the one at hand, and those that waited"),
    step("run_aborted", "session.Expire session.Abort block_list.Blame block_list.Block"
         " block_list.Ban event.ProtocolError keygen.Fail peer.KeygenOver"
         " regroup.ShowProof regroup.Accuse regroup.Miss",
         "a run that ends without a result; then the runs that sign with a peer banned for it"),
    step("run_finished", "session.Finish keygen.Store keygen.Certify keygen.Outdate regroup.Prepare"
         " event.KeyMade event.Signature payout.Finish keygen.LockIn regroup.Found"
         " keygen.Retire peer.KeygenOver", "a run that has come to a result"),
    step("attempts_over", f"session.Expire {_RETRY} keygen.Fail peer.KeygenOver regroup.Accuse"
         " regroup.Miss", "attempts whose time is over"),
    step("lapsed", "event.Lapse", "at a round's boundary: events of which nothing can come"),
    # signatures that come from others
    step("signature_taken", "event.Create event.Signature payout.Finish keygen.LockIn regroup.Found"
         " keygen.Retire peer.KeygenOver", "finished signatures: those at hand, and those that"
         " waited for the chain"),
    step("signature_told", "event.Announce", "the finished signatures that a peer may have missed"),
    # a round
    step("round_next", "peer.NextRound", "a new round has come"),
    step("offered", "peer.Offer", "the transfers that this node can validate"),
    step("round_proposed", "peer.RoundTick", "the candidate"),
    step("proposal_heard", "round.Hear round.Accept", "the proposal at hand; and, when this node"
         " has just proposed, all that came before"),
    step("matched", "peer.Matched", "t proposals equal to this node's"),
    step("set_heard", "round.HearSet", "the signing sets of the peers that proposed the same"),
    step("set_settled", f"peer.SetElsewhere {_PREPARE} peer.SetFound", "who signs"),
    step("round_certified", "peer.Certified session.Certified", "t equal votes"),
    step("round_mismatch", "peer.Mismatch event.Recover", "votes that differ"),
    step("round_signed", "peer.Signed", "the signatures of the round's payout"),
    step("round_over", f"peer.Deadline session.Expire {_RETRY}", "a phase that takes too long"),
    # payouts and swaps
    step("payout_followed",
         "payout.Conflict payout.Accepted payout.Returned payout.Refused payout.Outbid"
         " payout.Dropped payout.Final",
         "the chain's answer about a payout; a tick of the clock only asks for it"),
    step("payout_resumed", "payout.Finish", "payouts that were signed before a restart"),
    step("deposits_gone", "swap.Removed", "deposits in a block that was disconnected"),
    step("payouts_gone", "payout.Reorg", "payouts in a block that was disconnected"),
    step("deposits_found", "swap.Deposit", "deposits that are deep enough"),
    step("deposits_settled", "swap.Settled", "deposits that were spent, deep enough"),
    # keys
    step("slot_begun", "peer.KeygenTick event.Create", "a keygen slot"),
    step("slot_over", "peer.KeygenOver", "a keygen slot that came to nothing"),
    step("keys_shown", "keygen.Show", "confirmations, told again"),
    step("key_certified", "keygen.Certify keygen.Outdate peer.KeygenOver", "confirmations at hand"),
    step("key_told", "keygen.Announce", "the locked key, for a holder that missed it"),
    step("keys_given_up", "keygen.Fail", "key generations that a restart cut off"),
    # the regroup
    step("stepped_back", f"regroup.Fence {_TELL}", "drafts of the next epoch that are ready"),
    step("gone_over", f"regroup.Fence {_TELL} event.Create regroup.TakeOver regroup.Activate"
         f" regroup.Erase {_TELL} regroup.Outdone", "an epoch that is decided"),
    step("handing_over", "peer.HandingOver peer.RegroupOver", "the phase, while the key changes"),
    step("drafts_told", f"regroup.Tell {_TELL}", "the drafts of the next epoch, for a peer that"
         " came up, or for holders that have not stepped back"),
    step("caught_up", _TELL, "a member of the epoch in force that was away when it began"),
    step("unready_missed", "regroup.Miss", "members that never said that they have their share"),
    step("attested", "regroup.Attest regroup.AttestAgain", "whom this node heard before the night"),
    step("complained", "regroup.Complain", "members whose messages in a dealing do not come"),
    step("complaint_answered", "regroup.Answer", "complaints of this node, as soon as it has sent"
         " what they ask for"),
    step("answer_opened", "regroup.Open", "an answer to this node that holds no message"),
    # requests
    step("asked", "event.Create event.Ask event.Signature", "the operator's request"),
    step("requests_met", "event.KeyMade", "requests that the key in force answers"),
    step("renounced", "event.Renounce event.Expire", "requests whose time is over"),
    step("renounced_again", "event.Renounce", "at a round's boundary: what this node has renounced"
         " and is still open, after 1, 2, 4, 8 rounds"),
    step("renounced_told", "event.Renounce", "statements that a peer may have missed"),
    step("expired", "event.Renounce event.Expire", "the request that the statement at hand is"
         " about, if its time is over here too"),
    step("restarted", "event.Recover", "events whose session a restart has lost"),
    # links
    step("link_opened", "link.Connect", "a fresh channel"),
    step("hello_judged", "link.Hello", "the other end's hello"),
    step("proof_judged", "link.Proof", "the other end's proof"),
    step("ready_judged", "link.Ready", "the other end has accepted"),
    step("link_garbage", "link.Garbage", "a frame that is no message"),
    step("link_late", "link.Overdue link.Quiet", "a link that is silent for too long"),
    step("link_superseded", "link.Supersede", "two links with one peer"),
    step("link_ended", "link.End", "the other end hung up, or this one does"),
)}
"""Every step by name; each has one handler in the node."""

_RUNS = ("run_begun", "run_moved", "run_aborted", "run_finished")
_KEY_CHANGES = ("stepped_back", "gone_over", "handing_over")
_CERTIFIED = ("round_certified", *_RUNS[:3], "round_mismatch")


@frozen
class Input:
    """One kind of input: who sends it, when it is taken, and which steps it runs, in order."""

    kind: str
    sender: str
    window: str
    names: tuple[str, ...]

    @property
    def steps(self) -> tuple[tuple[str, ...], ...]:
        """The triggers of each step."""
        return tuple(STEPS[name].triggers for name in self.names)


INPUTS = {each.kind: each for each in (
    # messages
    Input("ping", "anyone", "always", ("ping_taken", "key_told", "signature_told", "caught_up")),
    Input("keepalive", "anyone", "always", ()),
    Input("publish", "part", "always", ()),
    Input("confirm_req", "anyone", "always", ("confirm_answered", "begin_told", "signature_told")),
    Input("confirm_ack", "anyone", "always", ()),
    Input("offer", "holder", "round", ("round_proposed", "proposal_heard")),
    Input("proposal", "holder", "round", ("evidence", "proposal_heard", "matched")),
    Input("signing_set", "holder", "round", ("evidence", "set_heard", "set_settled",
                                             "round_certified", "round_mismatch")),
    Input("vote", "part", "attempt", ("evidence", "convened", *_CERTIFIED)),
    Input("setup", "part", "always", ("signature_told", "setup_judged", "convened", *_RUNS)),
    Input("begin", "part", "always", ("begun", *_RUNS)),
    Input("release", "part", "always", (*_RUNS[1:], *_KEY_CHANGES, "round_signed")),
    Input("step", "part", "always", (*_RUNS[1:], *_KEY_CHANGES, "round_signed")),
    Input("signature_found", "staked", "always", ("signature_taken", *_KEY_CHANGES,
                                                  "round_signed")),
    Input("renounced", "holder", "always", ("expired", "signature_told", "renounced_told")),
    Input("confirmation", "part", "always", ("evidence", "key_certified")),
    Input("confirmations", "part", "always", ("key_certified",)),
    Input("key_locked", "part", "always", ("key_certified", "signature_taken")),
    Input("share_prepared", "part", "always", ("evidence", *_KEY_CHANGES)),
    Input("lock_shown", "part", "always", ()),
    Input("handed_over", "part", "always", _KEY_CHANGES),
    Input("missed", "part", "always", ()),
    Input("attendance", "holder", "always", ("evidence",)),
    Input("complaint", "part", "always", ("begun", *_RUNS, "complaint_answered")),
    Input("answer", "part", "always", ("answer_opened", *_RUNS[1:], *_KEY_CHANGES)),
    Input("opened", "part", "always", ()),
    Input("proven", "part", "always", ()),
    Input("withheld", "holder", "always", ()),
    # the clock
    Input("tick", "itself", "always", (
        "list_cleared", "keys_shown", "attempts_over", "lapsed", "renounced_again", "ping_sent",
        "ping_taken", "silence", "blocks_over", *_KEY_CHANGES, "drafts_told", "requests_met",
        "renounced",
        "unready_missed", "attested", "complained", "complaint_answered", "slot_begun", "slot_over",
        "attempt_proposed", "setup_judged", "convened", "round_next", "offered", "round_proposed",
        "proposal_heard", "matched", "set_heard", "set_settled", *_CERTIFIED, "run_finished",
        "round_signed", "round_over", "payout_followed", "confirms_asked",
    )),
    # links
    Input("link_up", "itself", "always", ("keys_shown", "drafts_told", "attested",
                                          "signature_told", "renounced_told", "sightings_told")),
    Input("link_down", "itself", "always", ()),
    Input("endpoints", "itself", "always", ("endpoints_told",)),
    # the chain
    Input("chain", "itself", "always", (
        "sightings_told", "deposits_gone", "payouts_gone", "deposits_found", "deposits_settled",
        "payout_resumed",
    )),
    Input("stake_answer", "itself", "always", ("stake_judged",)),
    Input("payout_answer", "itself", "always", ("payout_followed",)),
    # the operator
    Input("request", "itself", "always", ("asked",)),
    Input("pardon", "itself", "always", ("pardon",)),
    Input("start", "itself", "always", ("restarted", "keys_given_up", *_KEY_CHANGES)),
    # a connection, before it is a link
    Input("connect", "itself", "always", ("link_opened",)),
    Input("hello", "channel", "always", ("hello_judged",)),
    Input("proof", "channel", "always", ("proof_judged",)),
    Input("ready", "channel", "always", ("ready_judged",)),
    Input("garbage", "channel", "always", ("link_garbage",)),
    Input("link_clock", "itself", "always", ("link_late", "link_superseded")),
    Input("hang_up", "itself", "always", ("link_ended",)),
)}
"""Every input by its kind; that of a message is the ``KIND`` of its class."""


def position_after(triggers: tuple[str, ...], trigger: str, position: int) -> int | None:
    """Return where a trigger stands in a step's list, at or after a position, or None.

    A trigger may be fired several times in a row, and the list only goes on: what is fired for one
    individual is legal when each of its triggers has such a position, from the last one on.
    """
    return next((n for n in range(position, len(triggers)) if triggers[n] == trigger), None)


def check_inputs(steps: Mapping[str, Step], inputs: Mapping[str, Input]) -> None:
    """Refuse a text that names what is not there; the error gives file, line and name."""
    known = {f"{name}.{event}" for name, m in PROTOCOL.machines.items() for event in m.signatures}
    for each in steps.values():
        for trigger in each.triggers:
            if trigger not in known:
                raise _refusal(f'step("{each.name}"', f"step {each.name}: no table has {trigger}")
    for entry in inputs.values():
        where, unknown = f'Input("{entry.kind}"', [n for n in entry.names if n not in steps]
        if unknown:
            raise _refusal(where, f"input {entry.kind}: there is no step {unknown[0]}")
        if entry.sender not in SENDERS or entry.window not in WINDOWS:
            raise _refusal(where, f"input {entry.kind}: its sender or its window is no rule")
    used = {name for entry in inputs.values() for name in entry.names}
    if unused := sorted(steps.keys() - used):
        raise _refusal(f'step("{unused[0]}"', f"step {unused[0]}: no input runs it")
    if never := sorted(known - {t for name in used for t in steps[name].triggers}):
        raise _refusal("STEPS = ", f"no step has the trigger {never[0]}")


def check_message(message: type, inputs: Mapping[str, Input]) -> None:
    """Refuse a message that no input takes, or whose index is not that of its cell."""
    said = vars(message)
    cell = PROTOCOL.cells[said["CELL"]]
    # The sender has its place by its signature; a link's number is each end's own.
    wanted = [sort for sort in cell.index[1:] if sort != "Link"]
    if said["KIND"] not in inputs:
        raise _misdeclared(message, f"message {message.__name__}: no input takes it")
    if len(said["INDEX"]) != len(wanted):
        raise _misdeclared(message, f"cell {cell.name} has the index {wanted}, not {said['INDEX']}")
    for path in said["INDEX"]:
        kind: Any = message
        for name in path.split("."):
            hints = get_type_hints(kind) if isinstance(kind, type) else {}
            if name not in hints:
                raise _misdeclared(message, f"cell {cell.name}: there is no index field {path}")
            kind = hints[name]


def _misdeclared(message: type, reason: str) -> SpecError:
    """Return the refusal of a message's declaration; where that stands costs a parse to find."""
    line = inspect.getsourcelines(message)[1]
    return SpecError(f"{inspect.getsourcefile(message)}:{line}: {reason}")


def _refusal(text: str, reason: str) -> SpecError:
    """Return the refusal of what stands in this file under a text."""
    lines, _ = inspect.getsourcelines(sys.modules[__name__])
    line = next((number for number, found in enumerate(lines, start=1) if text in found), 0)
    return SpecError(f"{__file__}:{line}: {reason}")


check_inputs(STEPS, INPUTS)
if unknown_kinds := sorted(PASSED_ON.keys() - INPUTS.keys()):
    raise _refusal("PASSED_ON: ", f"there is no input {unknown_kinds[0]} to be passed on")
for _message in (*HANDSHAKE, *ENVELOPED):
    check_message(_message, INPUTS)
