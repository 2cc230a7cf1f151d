"""One holder with its rounds and payouts, and the others as the test plays them.

There is no network, no run and no chain but the blocks of the test, which has the identities and
the shares of all holders and says for them what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field

from metanode.chains.base import ChainUpdate, TxState
from metanode.custody.ledger import Ledger
from metanode.custody.payout import PayoutDocument
from metanode.custody.scripts import key_script
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Spend
from metanode.errors import PeerFault
from metanode.protocol import inputs
from metanode.protocol.context import Context, outpoint_ref
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purposes, Task
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.payouts.payouts import Payouts
from metanode.protocol.payouts.swaps import Swaps
from metanode.protocol.payouts.waiting import Waiting
from metanode.protocol.payouts.windows import Windows
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Inbox, proposal_id_hash, share_proof_context
from metanode.protocol.rounds.round import Rounds
from metanode.protocol.tables.effects import Effects, Note
from metanode.protocol.wire.envelope import open_envelope
from metanode.tss import curve
from metanode.tss.proofs import prove_share
from spec import messages as m
from spec.parameters import MAINNET
from tests.custody.support import HRP, MEMO, ident, policy
from tests.protocol.support import CODEC, NETWORK_ID, Alone, ids, members_of, signed
from tests.support import entropy
from tests.tss.support import deal

HOLDERS, THRESHOLD, FAULTY = 4, 3, 1
ROUND = 30_000_000
START = float(ROUND * MAINNET.round_period_s)
IDS = ids(HOLDERS)
SHARES = {p: evolve(s, epoch=1) for p, s in deal(THRESHOLD, HOLDERS, "rounds").items()}
SECRET = sum(curve.lagrange_at_zero(p, [1, 2, 3]) * SHARES[p].secret_share for p in (1, 2, 3))
ME = 0
"""The place of the node under test among the holders."""


def epoch(place: int | None = ME) -> KeyEpoch:
    """Return the first epoch, with the share of one holder."""
    return KeyEpoch(
        slot=7,
        members=members_of(HOLDERS),
        byzantine=FAULTY,
        package=SHARES[1].package,
        keyshare=None if place is None else SHARES[place + 1],
    )


@define
class NoSessions:
    """Stands for the sessions: it keeps what was entered, and ends what is dropped."""

    ctx: Context
    entered: dict[tuple[bytes, int], tuple[Task, m.Certificate]] = field(factory=dict)

    def enter(self, task: Task, certificate: m.Certificate) -> None:
        """Keep a certificate."""
        self.entered[task.event, task.attempt] = (task, certificate)

    def drop(self, event: bytes, attempt: int) -> None:
        """End the session of an attempt whose time is over."""
        self.ctx.tries("session.Expire", e=event, a=attempt)

    def is_member(self, p: bytes, e: bytes, a: int) -> bool:
        """Answer from the certificate that was entered."""
        found = self.entered.get((e, a))
        return found is not None and p in {vote.voter for vote in found[1].votes}


class Holder(Alone):
    """The cores of rounds and payouts at one holder, driven by the text of ``spec/inputs.py``.

    ``effects`` are those of the last input, ``watcher`` sees them all, ``blocks`` is the chain.
    """

    book: EventBook
    votes: VoteBook
    windows: Windows
    candidates: Candidates
    inbox: Inbox
    payouts: Payouts
    waiting: Waiting
    swaps: Swaps
    rounds: Rounds
    sessions: NoSessions
    blocks: list[BlockSummary]
    effects: Effects
    watcher: Callable[[Effects], None]

    @classmethod
    def make(cls, confirmations: int = 1, holds: bool = True, **rules: int) -> Holder:
        """Return a holder of the first epoch, linked to all others, at a round's first moment."""
        node = cls.of(
            ME, START, network_id=NETWORK_ID, preset=MAINNET, hrp=HRP, custody=policy(**rules),
            confirmations=confirmations,
        )
        ctx = node.ctx
        node.book = EventBook(ctx, Purposes(ctx))
        node.votes = VoteBook(ctx)
        node.windows = Windows(ctx, Ledger(ctx.settings.custody), node.book)
        stakes = Stakes(ctx, lambda: node.windows.ledger)
        node.candidates = Candidates(ctx, node.windows, stakes)
        node.inbox = Inbox(ctx)
        node.payouts = Payouts(ctx, node.book, node.candidates, node.inbox)
        node.waiting = Waiting(ctx, node.candidates, node.payouts)
        node.swaps = Swaps(ctx, node.candidates)
        node.sessions = NoSessions(ctx)
        node.rounds = Rounds(
            ctx, node.book, node.votes, node.inbox, node.candidates, node.payouts, node.waiting,
            node.sessions,
        )  # type: ignore[arg-type]  # the stand-in has what rounds ask for
        node.book.purposes.add(node.payouts)
        providers = ctx.tables.view.providers
        providers["is_member"] = node.sessions.is_member
        node.told(run="silent_run")
        providers["roster_has"] = lambda p, h: p in ctx.epochs[h].roster
        node.cores += [
            node.votes, node.candidates, node.inbox, node.payouts, node.swaps, node.rounds,
            Signatures(ctx, node.book, node.book.purposes), BlockList(ctx),
        ]
        node.blocks, node.effects, node.watcher = [], Effects(), lambda effects: None
        if holds:
            ctx.use(epoch())
            ctx.tables.view.put("holding", (ctx.me, 1), "active")
            ctx.links |= set(IDS) - {ctx.me}
        node.rounds.began_in = ROUND - 1
        return node

    # --- what comes in ---

    def put(self, entry: inputs.Input) -> Effects:
        """Take an input in, as far as these cores have its steps; return the effects."""
        return self._after(self.take_in(entry))

    def hear(self, place: int, message: Any) -> Effects:
        """Let the node take a message that another holder has signed."""
        return self._after(self.receive(place, message))

    def _after(self, fault: PeerFault | None) -> Effects:
        self.effects = self.take()
        self.watcher(self.effects)
        if fault is not None:
            raise fault
        return self.effects

    def tick(self, share: float | None = None, number: int | None = None) -> Effects:
        """Let the clock tick at a share of a round, by default where it stands."""
        if share is not None:
            round_number = self.ctx.round_number() if number is None else number
            self.ctx.now = (round_number + share) * MAINNET.round_period_s + 0.001
        return self.put(inputs.Tick())

    def news(
        self,
        *connected: BlockSummary,
        gone: Sequence[BlockSummary] = (),
        seen: Sequence[Outpoint] = (),
    ) -> Effects:
        """Let the chain tell of blocks that went, and of some that came."""
        update = ChainUpdate(tuple(block.hash for block in gone), connected, True)
        del self.blocks[len(self.blocks) - len(gone) :]
        self.blocks += connected
        if self.candidates.index(update, seen):
            return self.put(inputs.ChainNews(update, seen))
        return self._after(None)

    def block(
        self,
        *deposits: str,
        spends: Sequence[tuple[Outpoint, bytes]] = (),
        change: Sequence[Coin] = (),
        branch: str = "",
        parent: BlockSummary | None = None,
        **asks: Any,
    ) -> BlockSummary:
        """Return the block that follows the newest one, or ``parent``, with named deposits."""
        before = parent or (self.blocks[-1] if self.blocks else None)
        height = 100 if before is None else before.height + 1
        made = tuple(
            deposit(name, height, place, **asks) for place, name in enumerate(deposits, start=1)
        )
        return BlockSummary(
            height=height,
            hash=ident(f"block {height}{branch}"),
            parent=bytes(32) if before is None else before.hash,
            fee_rate=2,
            deposits=made,
            change=tuple(change),
            spends=tuple(Spend(outpoint, txid) for outpoint, txid in spends),
        )

    def mine(self, *deposits: str, **options: Any) -> Effects:
        """Mine the next block; its deposits were seen before."""
        block = self.block(*deposits, **options)
        return self.news(block, seen=[made.outpoint for made in block.deposits])

    def answer(
        self, event: bytes, state: TxState, reason: str = "", version: int = 0
    ) -> Effects:
        """Let the chain answer where a payout stands."""
        payout = self.payouts.payouts.get(event)
        txid = bytes(32) if payout is None else payout.document.txids[version]
        return self.put(inputs.PayoutAnswer(event, txid, state, reason))

    # --- what the others say ---

    def offer_of(self, place: int, **changes: Any) -> m.Offer:
        """Return the offer of a holder who sees the same chain."""
        cutoff = self.candidates.cutoff()
        if cutoff is None:
            raise AssertionError("there is no chain")
        transfers = tuple(outpoint_ref(t.deposit.outpoint) for t in cutoff.transfers)
        snapshot, number = cutoff.snapshot, self.ctx.round_number()
        offer = m.Offer(number, snapshot.height, snapshot.hash, 0, transfers)
        return evolve(offer, **changes)

    def proposal_of(self, place: int, document: PayoutDocument, **changes: Any) -> m.Proposal:
        """Return the proposal of a holder for a document, with its own proof."""
        number, share = self.ctx.round_number(), SHARES[place + 1]
        context = share_proof_context(NETWORK_ID, IDS[place], 1, number)
        public = share.public_shares[place]
        proof = prove_share(share.secret_share, public, context, entropy(f"proof {place}"))
        id_hash = proposal_id_hash(IDS[place], number, 1, document.encode())
        return evolve(m.Proposal(number, 1, document.digest, id_hash, proof), **changes)

    def vote_of(self, **changes: Any) -> m.Vote:
        """Return the vote that this node has cast, as another may cast it."""
        task = self.inbox.book(self.ctx.round_number()).task
        if task is None:
            raise AssertionError("nobody has voted")
        return evolve(task.vote, **changes)

    def certificate(
        self, voters: Sequence[int], event: bytes, digest: bytes, attempt: int
    ) -> m.Certificate:
        """Return the votes of some holders as a certificate."""
        return signed(voters, event=event, digest=digest, attempt=attempt, members=IDS[:THRESHOLD])

    # --- a round, as far as a test wants it ---

    def offered(self) -> None:
        """Go on until all have offered: the node proposes with the last offer."""
        self.tick(0.01)
        for place in (1, 2, 3):
            self.hear(place, self.offer_of(place))

    def proposed(self) -> PayoutDocument:
        """Go on until all have proposed the same."""
        self.offered()
        document = self.inbox.book(self.ctx.round_number()).document
        if document is None:
            raise AssertionError("nothing was proposed")
        for place in (1, 2, 3):
            self.hear(place, self.proposal_of(place, document))
        return document

    def voted(self) -> PayoutDocument:
        """Go on until the node has voted."""
        document = self.proposed()
        for place in (1, 2, 3):
            self.hear(place, m.SigningSet(self.ctx.round_number(), 1, IDS))
        return document

    def certified(self) -> PayoutDocument:
        """Go on until the node has locked: the others of the threshold set vote like it."""
        document = self.voted()
        vote = self.vote_of()
        for place in (IDS.index(member) for member in vote.members if member != self.ctx.me):
            self.hear(place, vote)
        return document

    def signatures(self, document: PayoutDocument) -> m.SignatureFound:
        """Return the signatures of the whole key, as a peer announces them."""
        return m.SignatureFound(
            document.event,
            document.digest,
            document.encode(),
            IDS[:THRESHOLD],
            tuple(m.EcdsaSignature(sign(digest)) for digest in document.sighashes()),
        )

    def paid(self) -> PayoutDocument:
        """Go on until a payout is signed, by signatures that a peer shows."""
        document = self.certified()
        self.hear(1, self.signatures(document))
        return document

    # --- what is looked at ---

    @property
    def phase(self) -> str:
        """The node's phase."""
        return self.rounds.phase()

    def refused(self, trigger: str, **about: Any) -> str:
        """Return why a row does not run now; nothing if it would."""
        error = self.ctx.tables.why_not(trigger, **about)
        return "" if error is None else str(error)

    def sent(self, kind: type) -> list[Any]:
        """Return the messages of one kind among the last effects."""
        return [s.message for s in self.effects.sends if isinstance(s.message, kind)]

    def rows(self) -> list[str]:
        """Return what the last effects fired."""
        return [f"{line['table']}.{line['event']}" for line in self.effects.trace]

    def notes(self) -> list[str]:
        """Return the notes among the last effects."""
        return [r.event for r in self.effects.requests if isinstance(r, Note)]

    def asked(self, kind: type) -> list[Any]:
        """Return the requests of one kind among the last effects."""
        return [request for request in self.effects.requests if isinstance(request, kind)]


def deposit(
    name: str, height: int, position: int = 1, memo: bytes | None = MEMO, amount: int = 10**8,
    refund_script: bytes | None = key_script(curve.encode_point(curve.generator_mult(77))),
    matures: int = 0,
) -> Deposit:
    """Return a deposit whose outpoint follows from its name."""
    outpoint, block = Outpoint(ident(name), 0), ident(f"block {height}")
    return Deposit(outpoint, amount, height, block, position, memo, refund_script, matures)


def convinces(frames: Sequence[bytes], culprit: bytes) -> bool:
    """Return whether evidence speaks for itself: two valid, different messages of one node."""
    opened = [open_envelope(NETWORK_ID, CODEC, frame) for frame in frames]
    bodies = {envelope.body for _, _, envelope in opened}
    kinds = {type(message) for _, message, _ in opened}
    return len(bodies) == 2 and len(kinds) == 1 and {s for s, _, _ in opened} == {culprit}


def sign(digest: bytes) -> bytes:
    """Return r ‖ s of the whole key over a digest, low-s."""
    nonce = 0x5EED  # one for all signatures: nobody steals this key
    r = int.from_bytes(curve.encode_point(curve.generator_mult(nonce))[1:], "big") % curve.ORDER
    inverse = pow(nonce, -1, curve.ORDER)
    s = inverse * (int.from_bytes(digest, "big") + r * SECRET) % curve.ORDER
    s = min(s, curve.ORDER - s)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
