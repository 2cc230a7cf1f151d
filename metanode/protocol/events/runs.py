"""What begins with a certificate and what becomes of it: payouts, key generations, lock-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field

from metanode.custody.payout import PayoutDocument
from metanode.protocol.blame.book import BlameBook
from metanode.protocol.context import Context
from metanode.protocol.events.coordinator import Task
from metanode.protocol.events.run import (
    KeygenPlan,
    Plan,
    SignPlan,
    instance_of,
    lane_nonce,
)
from metanode.protocol.events.sessions import Run, Sessions
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.payouts.settlement import Settlement
from metanode.protocol.requests.requests import Requests
from metanode.protocol.reshare.regroup import Regroups
from metanode.protocol.rounds.inbox import Hearing
from metanode.protocol.tables.runner import TransitionError
from metanode.tss.dealing import Dealing
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare
from metanode.tss.sign import Signature, SignSession
from metanode.tss.verify import verify_signature
from spec import messages as m


@define
class Runs:
    """Starts the runs of a node and takes their results.

    ``finished`` is told the event and the digest of each payout that was signed.
    """

    ctx: Context
    hearing: Hearing
    settlement: Settlement
    keygen: Keygen
    regroups: Regroups
    requests: Requests
    blames: BlameBook
    finished: Callable[[bytes, bytes], None] = field(default=lambda event, digest: None)
    sessions: Sessions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sessions = Sessions(self.ctx, self._on_result, self._on_abort)

    def begin_round(self, certificate: m.Certificate, document: PayoutDocument) -> Run:
        """Begin the signing run that a round's certificate allows; its voters are the signers."""
        ctx, key = self.ctx, self.ctx.epoch
        members = tuple(vote.voter for vote in certificate.votes)
        ctx.tables.fire(
            "session",
            "Certified",
            p=ctx.me,
            e=document.event,
            a=certificate.attempt,
            d=document.digest,
            given={"is_member": ctx.me in members},
        )
        digests = document.sighashes()
        plan = SignPlan.of("payout", key.roster, key.package, digests)
        instance = instance_of(document.event, certificate.attempt, document.digest, plan, members)
        signers = [key.index_of(member) for member in members]
        lanes = tuple(
            SignSession(key.share, signers, digest, lane_nonce(instance, lane), self.ctx.entropy)
            for lane, digest in enumerate(digests)
        )
        run = Run(
            "payout",
            key.number,
            document.event,
            certificate.attempt,
            document.digest,
            members,
            key.roster,
            key.quorum,
            lanes,
            plan=plan,
        )
        ctx.note(
            "round.signing",
            round=certificate.attempt,
            inputs=len(lanes),
            signers=[member.hex()[:16] for member in members],
        )
        self.sessions.begin(run)
        return run

    def begin_task(self, task: Task, certificate: m.Certificate) -> None:
        """Begin the run that a coordinator's certificate allows."""
        members = tuple(vote.voter for vote in certificate.votes)
        me, roster = self.ctx.me, task.members
        plan: Plan
        lane: Dealing | SignSession
        if task.purpose == "keygen":
            plan = KeygenPlan(roster, task.quorum.threshold, task.key_epoch)
            instance = instance_of(task.event, task.attempt, task.digest, plan, members)
            self.keygen.begin(task)
            parties = list(range(1, len(roster) + 1))
            lane = KeygenSession(
                roster.index(me) + 1,
                parties,
                task.quorum.threshold,
                instance,
                roster,
                task.key_epoch,
                self.ctx.entropy,
            )
        elif task.purpose == "regroup":
            plan = self.regroups.run_plan(task)
            instance = instance_of(task.event, task.attempt, task.digest, plan, members)
            lane = self.regroups.session(task, instance)
        else:
            keyshare = self._keyshare_for(task)
            if keyshare is None:
                return
            plan = SignPlan.of(task.purpose, roster, keyshare.package, [task.digest])
            instance = instance_of(task.event, task.attempt, task.digest, plan, members)
            signers = [roster.index(member) + 1 for member in members]
            lane = SignSession(
                keyshare, signers, task.digest, lane_nonce(instance, 0), self.ctx.entropy
            )
        self.ctx.note("session.begun", purpose=task.purpose, attempt=task.attempt)
        self.sessions.begin(
            Run(
                task.purpose,
                task.key_epoch,
                task.event,
                task.attempt,
                task.digest,
                members,
                roster,
                task.quorum,
                (lane,),
                plan=plan,
            )
        )

    def _keyshare_for(self, task: Task) -> Keyshare | None:
        """Return the share that signs: of the key in force, or of the one to be locked in."""
        if task.purpose in ("sign", "succession"):
            return self.ctx.epoch.keyshare
        key = self.keygen.key_of(task.digest)
        return None if key is None else key.keyshare

    def _on_result(self, run: Run) -> None:
        results = run.results or ()
        if run.purpose == "keygen":
            self.keygen.made(run.attempt, results[0])
            self._finish(run, True)
            self.ctx.tables.fire(
                "event", "KeyMade", p=self.ctx.me, e=run.event, given={"key_made": True}
            )
        elif run.purpose == "regroup":
            self.regroups.made(run)
            self._finish(run, True)
            self.ctx.tables.fire(
                "event", "KeyMade", p=self.ctx.me, e=run.event, given={"key_made": True}
            )
        elif run.purpose == "succession":
            self._on_succession(run, results[0])
        elif run.purpose == "lock_in":
            key = self.keygen.key_of(run.digest)
            if key is not None:
                self._finish(run, True)
                self.lock_in(key, results[0].r, results[0].s, run.members)
        elif run.purpose == "sign":
            if self.requests.signed(run.event, results[0], run.members):
                self._finish(run, True)
        else:
            self._on_payout_result(run, results)

    def _on_succession(self, run: Run, signature: Signature) -> None:
        epoch = self.regroups.handover.named(run.digest)
        r, s = signature.r, signature.s
        if epoch is not None and verify_signature(epoch.public_key, run.digest, r, s):
            self._finish(run, True)
            rs = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            self.regroups.handover.decided(epoch, run.members, rs)

    def _on_payout_result(self, run: Run, results: Sequence[Signature]) -> None:
        document = self.settlement.candidates.rebuild(self._document_of(run), spent_too=True)
        pairs = tuple((signature.r, signature.s) for signature in results)
        if document is None or not self.settlement.signed(document, run.members, pairs):
            self.ctx.note("round.result_unusable", event_id=run.event.hex()[:16])
            return
        self._finish(run, True)
        self.finished(run.event, run.digest)

    def _document_of(self, run: Run) -> bytes:
        candidate = self.settlement.lock_of(run.event)
        if candidate is not None and candidate.certificate.digest == run.digest:
            return candidate.document
        book = self.hearing.book(run.attempt)
        return book.document.encode() if book.document is not None else b""

    def _finish(self, run: Run, valid: bool) -> None:
        self.ctx.tables.fire(
            "session",
            "Finish",
            p=self.ctx.me,
            e=run.event,
            a=run.attempt,
            d=run.digest,
            given={"result_valid": valid},
        )
        self.ctx.note(
            "session.finished",
            purpose=run.purpose,
            attempt=run.attempt,
            seconds=round(self.ctx.now - run.started, 3),
        )

    def lock_in(self, key: KeyEpoch, r: int, s: int, signers: Sequence[bytes]) -> None:
        """Lock a key in if this is its signature over its own name; else change nothing."""
        ctx, event = self.ctx, self.keygen.lock_in
        digest = key.digest(self.ctx.settings.network_id)
        if ctx.key is not None or not verify_signature(key.public_key, digest, r, s):
            return
        if ctx.tables.state("keygen", ctx.me, key.slot) != "certified_by_all":
            return
        self.settlement.create(event)
        rs = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        found = m.SignatureFound(
            event, key.encode(), tuple(signers), (m.EcdsaSignature(rs),)
        )
        if self.settlement.status(event) != "SUCCESS":
            ctx.tables.fire(
                "event",
                "Signature",
                p=ctx.me,
                e=event,
                d=digest,
                given={"signature_valid": True},
                carry={"announced": found, "signature_kept": found},
            )
        self.keygen.lock(key, Signature(r, s, 0))

    def on_lock_in(self, message: m.SignatureFound) -> None:
        """Take the signature that locks a key in, as a peer announces it."""
        for key in self.keygen.certified() if message.signatures else ():
            rs = message.signatures[0].rs
            r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
            self.lock_in(key, r, s, message.signers)

    def give_up(self, purpose: str, event: bytes, attempt: int) -> list[bytes]:
        """The time of an attempt is over: end its session, keep the lock, try again later.

        Returns those whose messages its session was waiting for.
        """
        run = self.sessions.running(event)
        waiting = [] if run is None else run.waiting_for
        self.sessions.drop(event, attempt)
        self.settlement.recover(event)
        if purpose == "keygen":
            self.keygen.failed(attempt)
        return waiting

    def _on_abort(self, run: Run) -> None:
        ctx, abort = self.ctx, run.abort
        culprits = [run.roster[i - 1] for i in abort.culprits] if abort else []
        ctx.note(
            "session.aborted",
            purpose=run.purpose,
            attempt=run.attempt,
            kind=run.broken_off or (abort.kind if abort else "timeout"),
            culprits=[culprit.hex()[:16] for culprit in culprits],
        )
        for banned in self.blames.on_abort(run):
            self.sessions.break_off(banned)
        try:
            ctx.tables.fire("event", "ProtocolError", p=ctx.me, e=run.event)
        except TransitionError:
            ctx.note("event.over", event_id=run.event.hex()[:16])
        if run.purpose == "keygen":
            self.keygen.failed(run.attempt)
        elif run.purpose == "regroup":
            self.regroups.failed(run.attempt, culprits or run.waiting_for)
