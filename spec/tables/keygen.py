"""The key that one keygen slot makes: shares in store, certified by all, locked in for good.

A finished run at one node proves nothing about the others (F-27), so each node confirms what it
stored and a key counts when all n confirmed the same. Locking in is itself a signature by the new
key over its own name: a test of the key, and a certificate that anyone can verify. The custody
address is shown only then.
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

KEYGEN = Enum("KeyState", ("no_key", "generating", "stored", "certified_by_all", "locked_in",
                           "abandoned"))

CELLS = (
    Cell("key", KEYGEN, ("Peer", "Key"), "no_key", "disk", "key k, at p"),
    Cell("key_share", "bool", ("Peer", "Key"), "False", "disk", "p's share of k, encrypted"),
    Cell("confirmed", "bool", ("Peer", "Key"), "False", "network",
         "Confirmation: p's signature over public key, public shares and epoch"),
    Cell("confirmations_shown", "bool", ("Peer", "Key"), "False", "network",
         "Confirmations: all those that p has, with their signatures"),
    Cell("key_announced", "bool", ("Peer", "Key"), "False", "network",
         "KeyLocked: all confirmations and the lock-in signature"),
    Cell("keygen_certificate", "bool", ("Peer", "Key"), "False", "given",
         "the keygen session has begun with the votes of all members"),
    Cell("same_roster", "bool", ("Peer", "Key"), "False", "given",
         "k has the members of every key that p makes or has in store: a network's founders do not"
         " change"),
    Cell("before_lock_in", "bool", ("Peer",), "False", "given", "clock: now < keygen_until"),
    Cell("share_verified", "bool", ("Peer", "Key"), "False", "given",
         "the session ended and every check of it held"),
    Cell("lock_in_valid", "bool", ("Key",), "False", "given",
         "computed: the lock-in signature verifies under k itself"),
)

TABLE = Table("keygen", "key[p, k]", "a key from its slot to lock-in", rows=(
    Row("no_key", "Start(p: Peer, k: Key)", "generating",
        ("phase[p] == Keygen", "keygen_certificate[p, k]", "same_roster[p, k]"),
        why="all members agreed on the same roster and threshold"),
    Row("generating", "Store(p: Peer, k: Key)", "stored", "share_verified[p, k]",
        {"key_share[p, k]": "True", "confirmed[p, k]": "True"},
        why="the share is on disk before p confirms it"),
    Row(("stored", "certified_by_all", "locked_in"), "Show(p: Peer, k: Key)", "same",
        then={"confirmations_shown[p, k]": "True"},
        why="each member passes on the confirmations that it has; otherwise a key could count at"
            " some nodes and not at others"),
    Row("stored", "Certify(p: Peer, k: Key)", "certified_by_all",
        "among(k, all(confirmed[q, k] for q in Peer))",
        why="F-27: one missing confirmation would mean two views of the key"),
    Row("certified_by_all", "LockIn(p: Peer, k: Key)", "locked_in",
        ("lock_in_valid[k]", "not any(key[p, j] == locked_in for j in Key)"),
        {"key_announced[p, k]": "True"},
        why="the key signed its own name: permanent, and its address may be shown"),
    Row("locked_in", "Announce(p: Peer, k: Key)", "same", then={"key_announced[p, k]": "True"},
        why="a peer that missed the lock-in is told again"),
    Row("generating", "Fail(p: Peer, k: Key)", "abandoned",
        why="the run failed, timed out or was lost in a crash; the next slot makes another key"),
    Row(("stored", "certified_by_all"), "Outdate(p: Peer, k: Key)", "abandoned",
        ("count(j for j in Key if key[p, j] == certified_by_all and k < j) >= 3",
         "before_lock_in[p]"),
        why="three newer keys count here; three are kept, because other nodes may have certified"
            " fewer of them"),
    Row(("stored", "certified_by_all"), "Retire(p: Peer, k: Key)", "abandoned",
        "any(key[p, j] == locked_in for j in Key if j != k)",
        why="another key was locked in; this one never had an address"),
))
