"""Every constant of the protocol: value, unit, source.

Sources: M = the metanode peer protocol, N = Nano's peering, T = the TSS node architecture, D = the
DKLs23 signing protocol, "rule" = ours, with the reason. ``MAINNET`` is the default of each field;
``DEVNET`` scales the round, keygen and ping periods only, so that a local network shows in seconds
what the real one does in minutes; ``TOY`` is for models.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from attrs import Attribute, evolve, field, fields, frozen

CONSTANTS = ("N", "T", "F", "R")
"""Numbers of one key epoch: share holders, shares needed to sign, Byzantine members tolerated, and
holders who must renounce an event before it expires (``refund_quorum``)."""


COINBASE_MATURITY_BLOCKS = 100
"""Blocks until new coins may be spent; source: Bitcoin Core, litecoind, consensus/consensus.h."""

FULL_BLOCK_WEIGHT = 3_600_000
"""A block of at least this weight was full; rule: nine tenths of MAX_BLOCK_WEIGHT, Bitcoin Core and
litecoind, consensus/consensus.h."""

PEGOUT_MATURITY_BLOCKS = 6
"""Blocks until what left Litecoin's extension block may be spent; source: litecoind,
consensus/consensus.h, PEGOUT_MATURITY."""


LARGEST_ROSTER = 100
"""Members of a network at most; rule: with the largest batch of deposits, every count in a payout
then stays below 253, where one octet encodes it."""


INPUTS_LEAST = 2
"""Inputs of a payout, in all its versions, that every round has time for; rule."""


def quantity(value: float | str, unit: str, source: str) -> Any:
    """Declare a constant with its unit and its source."""
    return field(default=value, metadata={"unit": unit, "source": source})


@frozen(kw_only=True)
class Preset:
    """The constants of one kind of network."""

    name: str = quantity("mainnet", "-", "rule: the name in the configuration")

    # rounds and keygen
    ping_period_s: float = quantity(3.0, "s", "M: ping messages every 3 s")
    pings_missed_limit: int = quantity(3, "pings", "rule: F-09, suspect after three silent periods")
    round_period_s: int = quantity(60, "s", "M: aligned to 1 minute intervals")
    keygen_period_s: int = quantity(300, "s", "M: keygen aligned to 5 minute intervals")
    regroup_period_s: int = quantity(86400, "s", "M: every day at 00:00 UTC")
    offer_share: float = quantity(0.15, "of a round", "rule: F-12, time for transfer lists to meet")
    propose_share: float = quantity(0.30, "of a round", "rule: deadline of the proposals")
    set_share: float = quantity(0.45, "of a round", "rule: deadline of the signing sets")
    vote_share: float = quantity(0.60, "of a round", "rule: deadline of the checksums")
    signing_share: float = quantity(
        0.95, "of a round", "rule: F-12, nothing starts in the last 5 %"
    )
    setup_share: float = quantity(0.5, "of a slot", "rule: no key generation begins later")
    slot_share: float = quantity(0.95, "of a slot", "rule: a key generation ends with its slot")
    clock_skew_s: float = quantity(30.0, "s", "rule: pings dated otherwise are not fresh (F-13)")
    clock_step_s: float = quantity(
        0.5, "s", "rule: a wall clock that leaves the steady one by more at once was set"
    )
    clock_slew: float = quantity(
        0.1, "s a s", "rule: time servers correct a clock more slowly; faster is a step"
    )
    clock_quiet_s: float = quantity(5.0, "s", "rule: a clock that was set is even again by then")
    attempts_kept: int = quantity(2, "rounds", "rule: F-15, votes of so many rounds back count")
    rounds_buffered: int = quantity(1, "rounds", "rule: F-12, keep messages of round r + 1")

    regroup_patience: int = quantity(
        3, "attempts", "rule: F-26, a member that spoilt so many attempts of a night is missed"
    )

    complaint_share: float = quantity(
        0.25, "of a round", "rule: F-43, who waits longer for a message of a dealing complains"
    )
    absent_nights: int = quantity(
        3, "nights", "rule: F-44, a holder that was silent for so many may be replaced"
    )
    seats_a_night: int = quantity(
        1, "seats", "rule: F-44, newcomers a night: a cartel pays in stake and in weeks"
    )
    members_least: int = quantity(
        3, "members", "rule: nights leave so many holders, whatever becomes of their stakes"
    )
    cutoff_slack_blocks: int = quantity(
        3, "blocks", "rule: how far the block that an attempt names may be from one's own cut-off"
    )

    disk_least_octets: int = quantity(
        1 << 28, "octets", "rule: with less free space a node says that its disk is nearly full"
    )

    # stakes and the block list
    stake_age_s: int = quantity(259200, "s", "M: staked for at least 72 hours and never moved")
    stake_query_s: float = quantity(5.0, "s", "rule: an unanswered question is asked again")
    payout_query_s: float = quantity(1.0, "s", "rule: how often the chain is asked about a payout")
    payout_resend_s: float = quantity(
        60.0, "s", "rule: the pauses between sends of a refused payout double up to this"
    )
    block_duration_s: int = quantity(259200, "s", "M: block-list entry of 72 h, configurable")

    # what takes longer with more members (see ``sized``)
    tick_s: float = quantity(0.05, "s", "rule: how often a node looks at its clock")
    chain_poll_s: float = quantity(0.5, "s", "rule: how often a node asks its daemon for blocks")
    attempt_rounds: int = quantity(1, "rounds", "rule: an attempt at new shares may take so many")
    dealing_pair_s: float = quantity(
        0.06, "s a pair", "rule: measured, two members of a dealing on a machine of two cores"
    )
    signature_work_s: float = quantity(
        0.00014, "s a pair of signers and member",
        "rule: measured, one of many signatures among the messages of all on two cores",
    )
    ping_pair_s: float = quantity(
        0.008, "s a pair", "rule: chosen, pings of a full mesh on a machine of two cores"
    )
    gossip_member_s: float = quantity(
        0.1, "s a member", "rule: chosen, news of a full mesh leaves two cores time for links"
    )
    crawl_pair_s: float = quantity(
        0.05, "s a pair", "rule: chosen, a mesh's questions on a machine of two cores"
    )
    poll_member_s: float = quantity(
        0.1, "s a member", "rule: chosen, questions for one chain daemon"
    )
    round_member_s: float = quantity(
        0.75, "s a member", "rule: measured, the phases of a round on a machine of two cores"
    )
    tick_member_s: float = quantity(
        0.01, "s a member", "rule: chosen, ticks of many nodes on a machine of two cores"
    )
    members_a_machine: int = quantity(1, "members", "rule: each member has a machine of its own")

    # sessions
    session_idle_s: int = quantity(180, "s", "T: sessions expire after 3 minutes without activity")
    convene_share: float = quantity(
        0.05, "of a round", "rule: F-34, how long a coordinator waits for linked members' votes"
    )
    confirm_share: float = quantity(
        0.05, "of a round", "rule: so long a node waits for a vote before it asks, and asks again"
    )
    confirm_answers: int = quantity(
        40, "answers a round", "rule: to one peer, which asks 20 times for all that it lacks"
    )
    request_lifetime_s: int = quantity(
        86400, "s", "rule: an operator's request is tried so long; asking again gives it more"
    )

    # peering
    keepalive_period_s: float = quantity(15.0, "s", "N: keepalive")
    keepalive_endpoints: int = quantity(8, "endpoints", "N: keepalive carries 8 peers")
    fanout_random: float = quantity(0.75, "of the fan-out", "N: random peers")
    fanout_self: float = quantity(0.25, "of the fan-out", "N: self-announcement")
    cookie_lifetime_s: float = quantity(5.0, "s", "N: cookies live 5 s and are used once")
    links_per_address: int = quantity(4, "links", "N: per IPv4 address or IPv6 /48")
    links_per_network: int = quantity(16, "links", "N: per /24")
    links_inbound: int = quantity(2048, "links", "N: inbound connections")
    links_outbound: int = quantity(2048, "links", "N: outbound connections")
    attempts_at_once: int = quantity(60, "dials", "N: connection attempts at once")
    attempts_per_address: int = quantity(1, "dials", "N: connection attempts at once per address")
    connect_timeout_s: float = quantity(60.0, "s", "N: connecting")
    idle_timeout_s: float = quantity(120.0, "s", "N: silent link")
    peer_store_period_s: float = quantity(15.0, "s", "N: known peers are stored")
    peer_forget_s: float = quantity(
        3600.0, "s", "N: erased after 1 h unseen; rule: only what is known from hearsay"
    )
    hearsay_per_source: int = quantity(
        16, "endpoints", "rule: a peer's word counts for so many endpoints that have not answered"
    )
    own_address_witnesses: int = quantity(
        3, "peers", "rule: of as many networks must agree on what our address is"
    )
    reachable_after_s: float = quantity(
        600.0, "s", "rule: a node that nobody has dialled for so long asks whether anybody can"
    )
    crawl_fast_s: float = quantity(3.0, "s", "N: crawler until enough weight is known")
    crawl_slow_s: float = quantity(7.0, "s", "N: crawler afterwards")
    crawl_patience_s: float = quantity(60.0, "s", "N: a question of the crawler is unanswered then")
    principal_share: float = quantity(0.001, "of the known stake", "N: a principal has 0.1 % of it")
    weight_known_share: float = quantity(0.67, "of the known stake", "N: 67 %; rule F-31: a share")
    degree_beyond: int = quantity(
        12, "links", "rule: of nodes that hold no share; measured, floods reach all with 10 % dead"
    )
    flood_memory_s: float = quantity(60.0, "s", "N: duplicates of what is passed on are known")
    flood_entries: int = quantity(1 << 16, "envelopes", "rule: bounds the duplicate filter")
    flood_signer: int = quantity(
        64, "envelopes a round", "rule: of one signer so many are passed on, pings aside"
    )
    flood_wasted: int = quantity(
        256, "envelopes a round", "rule: a relayer of so much that counts for nothing is not heard"
    )
    flood_strangers: int = quantity(
        8, "envelopes a round", "rule: so many of unknown signers are taken from one relayer"
    )
    backoff_first_s: float = quantity(3.0, "s", "rule: first wait after a failed dial")
    backoff_longest_s: float = quantity(300.0, "s", "rule: longest wait between dials")
    stable_link_s: float = quantity(30.0, "s", "rule: a link that lived so long was a good one")
    news_delay_s: float = quantity(0.5, "s", "rule: newcomers are gossiped at once, together")
    write_queue_messages: int = quantity(128, "messages", "N: per-link write queue")
    exclusion_score: int = quantity(2, "-", "N: excluded from this score")
    exclusion_first_s: float = quantity(3600.0, "s", "N: 1 h, then 1 h * score * 2")
    exclusion_forget_s: float = quantity(
        86400.0, "s", "rule: an offence without another one for so long was an accident"
    )
    exclusion_entries: int = quantity(5000, "entries", "N: exclusion table")

    # frames
    frame_octets: int = quantity(1 << 20, "octets", "T: frames of at most 1 MiB")
    frame_octets_unauthenticated: int = quantity(
        4096, "octets", "rule: no more before the handshake"
    )

    # custody (amounts in the chain's base unit)
    service_fee_bps: int = quantity(50, "1/10000", "rule: pays rewards and mining fees")
    reserve_bps: int = quantity(2000, "1/10000 of the fee", "rule: stays as float for mining fees")
    minimum_deposit: int = quantity(50_000, "base units", "rule: smaller deposits are dust")
    refund_cost: int = quantity(5_000, "base units", "rule: pays the mining fee of a refund")
    fee_rate_floor: int = quantity(1, "base units / vB", "rule: minimum relay fee")
    fee_rate_cap: int = quantity(500, "base units / vB", "rule: fees bounded on both sides")
    fee_window_blocks: int = quantity(12, "blocks", "rule: median over these blocks")
    fee_versions: int = quantity(
        3, "versions", "rule: F-41, each payout is signed at this many fees, each twice the last"
    )
    fee_patience_blocks: int = quantity(
        3, "blocks", "rule: F-41, a payout that waits longer is sent at the next fee"
    )
    fee_share_cap_bps: int = quantity(
        2500, "1/10000", "rule: a deposit waits while mining would cost it a larger share"
    )
    payout_window_blocks: int = quantity(
        12, "blocks", "rule: F-40, deposits of so many blocks are paid one part after the other"
    )
    transfers_per_payout: int = quantity(32, "transfers", "rule: bounds the signatures of a round")
    change_inputs: int = quantity(4, "inputs", "rule: float coins joined in one payout")
    unseen_depth_factor: int = quantity(
        6, "times the confirmations", "rule: so deep, a deposit counts without a mempool sighting"
    )


MAINNET = Preset()
DEVNET = evolve(
    MAINNET, name="devnet", ping_period_s=1.0, round_period_s=6, keygen_period_s=6,
    members_a_machine=LARGEST_ROSTER,
)
"""All members of a local network share one machine."""
TOY = evolve(MAINNET, name="toy", ping_period_s=1.0, round_period_s=10, keygen_period_s=10)
PRESETS = {preset.name: preset for preset in (MAINNET, DEVNET, TOY)}


def sized(preset: Preset, members: int) -> Preset:
    """Return the constants of a network of so many members: no period is too short for its work.

    Each of n members has work with every other one, and the members on one machine share it. A
    key generation must fit between the latest set-up and the end of its slot; an attempt at new
    shares may take several rounds. A payout has no more inputs, and is signed at no more fees, than
    a round has time to sign.
    """
    together = min(members, preset.members_a_machine)
    pairs = members * together
    dealing_s = preset.dealing_pair_s * pairs
    shares = threshold(members)
    signature_s = preset.signature_work_s * shares * min(shares, together) * together
    signing_share = preset.signing_share - preset.vote_share
    least_s = max(preset.round_period_s, preset.round_member_s * together)
    fees = int(signing_share * least_s / (INPUTS_LEAST * signature_s))
    fees = min(preset.fee_versions, max(1, fees))
    payout_s = signature_s * fees
    round_s = ceil(max(least_s, INPUTS_LEAST * payout_s / signing_share))
    inputs = max(INPUTS_LEAST, int(signing_share * round_s / payout_s))
    gossip_s = preset.gossip_member_s * together
    slot_s = ceil(dealing_s / (preset.slot_share - preset.setup_share))
    return evolve(
        preset,
        round_period_s=round_s,
        transfers_per_payout=min(preset.transfers_per_payout, ceil(inputs / 2)),
        change_inputs=min(preset.change_inputs, inputs // 2),
        fee_versions=fees,
        keygen_period_s=max(preset.keygen_period_s, slot_s),
        attempt_rounds=max(preset.attempt_rounds, ceil(dealing_s / round_s)),
        ping_period_s=max(preset.ping_period_s, preset.ping_pair_s * pairs),
        crawl_fast_s=max(preset.crawl_fast_s, gossip_s),
        crawl_slow_s=max(preset.crawl_slow_s, gossip_s),
        news_delay_s=max(preset.news_delay_s, gossip_s),
        crawl_patience_s=max(preset.crawl_patience_s, preset.crawl_pair_s * pairs),
        chain_poll_s=max(preset.chain_poll_s, preset.poll_member_s * together),
        tick_s=max(preset.tick_s, preset.tick_member_s * together),
    )


def constants() -> tuple[Attribute[Any], ...]:
    """Return every declared constant, in order, with unit and source in ``metadata``."""
    return tuple(fields(Preset))


def threshold(holders: int) -> int:
    """Return t for n share holders: floor(2n/3) + 1 (T). 3→3, 4→3, 5→4, 6→5, 7→5, 8→6, 9→7."""
    return 2 * holders // 3 + 1


def faults_tolerated(holders: int) -> int:
    """Return the largest f that ``quorum_fault`` accepts for n holders and t = threshold(n)."""
    shares = threshold(holders)
    return max(0, min(2 * shares - holders - 1, holders - shares))


def quorum_fault(holders: int, shares: int, faulty: int) -> str | None:
    """Return why (n, t, f) is unsafe or cannot sign, with the numbers, or None (SAFE-SIGN 1).

    Two sets of t among n share at least 2t − n members; when that is more than f, one of them is
    honest and never signs two digests of one event. n − f ≥ t: the honest members alone can sign.
    """
    n, t, f = holders, shares, faulty
    if n < 1 or t < 1 or t > n or f < 0:
        return f"1 <= t <= n and f >= 0 must hold, but n = {n}, t = {t}, f = {f}"
    if 2 * t - n <= f:
        return f"2t-n > f must hold, but 2*{t}-{n} = {2 * t - n} <= {f}: two sets could sign twice"
    if n - f < t:
        return (
            f"n-f >= t must hold, but {n}-{f} = {n - f} < {t}: {f} silent members stop every payout"
        )
    return None


def refund_quorum(holders: int, shares: int, faulty: int) -> int:
    """Return R: how many "never released, never will" make a refund safe: n − t + 1 + f (F-16)."""
    return holders - shares + 1 + faulty
