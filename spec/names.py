"""The individuals that the tables speak of."""

from __future__ import annotations

from spec.language.declarations import Sort

PEER = Sort("Peer", "a node; in a quorum, a share holder of the key epoch in question")
EVENT = Sort("Event", "what is to be decided once: a payout, an operator's request, a key"
             " generation, a lock-in, a regroup, a succession")
EPOCH = Sort("Epoch", "one sharing of the key: what key generation or a regroup made; later ones"
             " are larger", ordered=True)
ATTEMPT = Sort("Attempt", "a try at an event; in rounds, the round number", ordered=True)
DIGEST = Sort("Digest", "the hash of the document that an attempt would sign")
INSTANCE = Sort("Instance", "one run of a signing session: hash of event, attempt, digest, members")
KEY = Sort("Key", "the key that one keygen slot makes; later slots are larger", ordered=True)
SWAP = Sort("Swap", "one deposit, or the request that announces it")
LINK = Sort("Link", "one connection of a node")

SORTS = (PEER, EVENT, ATTEMPT, DIGEST, INSTANCE, KEY, SWAP, LINK, EPOCH)
