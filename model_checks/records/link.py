"""One connection at one end: every message of a handshake is answered by going on or by closing,
and the link is used only by the identity that has proved itself.

A hello may go on when nothing is wrong with it, a proof when it answers our cookie, once and in
time. Whatever is wrong closes the link, and a proof spends the cookie, good or bad.
"""

from __future__ import annotations

from model_checks.records.record import Record

_WELCOME = (
    "(p != q and hello[p, l] not in (old_version, wrong_network, own_nonce, other_identity))"
)
_UP = "link[p, l] in (connected, challenged, established)"
_GOOD_PROOF = (
    "(not cookie_spent[p, l] and other_end[p, l] == q "
    "and proof[p, l] not in (proof_late, proof_bad))"
)
_CLOSES = "after(link[p, l]) == closed"

LINK = Record(
    table="link",
    taken={
        "Connect": "link[p, l] == closed and not hello_sent[p, l]",
        "Hello": f"{_UP} and implies(link[p, l] == connected and {_WELCOME}, hello_sent[q, l])",
        "Proof": f"{_UP} and implies(link[p, l] == challenged and {_GOOD_PROOF}, proof_sent[q, l])",
        "Ready": f"{_UP} and implies(link[p, l] == challenged and link_proved[p, l] "
        "and other_end[p, l] == q, ready_sent[q, l])",
        "Garbage": _UP,
        "Overdue": "link[p, l] in (connected, challenged) and link_silent[p, l]",
        "Quiet": "link[p, l] == established and link_silent[p, l]",
        "Supersede": "link[p, l] == established and link[p, w] == established "
        "and other_end[p, l] == other_end[p, w] and outranks[p, w, l]",
        "End": _UP,
    },
    then={
        "Connect": "after(link[p, l]) == connected and after(hello_sent[p, l])",
        "Hello": f"(after(other_end[p, l]) == q and after(proof_sent[p, l]) "
        f"and after(link[p, l]) == challenged) if link[p, l] == connected and {_WELCOME} "
        f"else {_CLOSES}",
        "Proof": f"(after(link_proved[p, l]) and after(ready_sent[p, l]) "
        f"and after(link[p, l]) == challenged) if link[p, l] == challenged and {_GOOD_PROOF} "
        f"else {_CLOSES} and implies(link[p, l] == challenged, after(cookie_spent[p, l]))",
        "Ready": "after(link[p, l]) == established if link[p, l] == challenged "
        f"and link_proved[p, l] and other_end[p, l] == q else {_CLOSES}",
        "Garbage": _CLOSES,
        "Overdue": _CLOSES,
        "Quiet": _CLOSES,
        "Supersede": _CLOSES,
        "End": _CLOSES,
    },
    steps={
        "AuthenticatedBeforeUse": "implies(link[p, l] != established and "
        "after(link[p, l]) == established, link_proved[p, l] and other_end[p, l] != none)",
        "NoSelfLink": "implies(link[p, l] == connected and after(link[p, l]) == challenged, "
        "after(other_end[p, l]) not in (none, p))",
        "CookieOnce": "implies(after(link_proved[p, l]) and not link_proved[p, l], "
        "not cookie_spent[p, l] and after(cookie_spent[p, l]))",
        "SpentForGood": "implies(cookie_spent[p, l], after(cookie_spent[p, l]))",
        "ProofsForTheCertified": "implies(after(proof_sent[p, l]) and not proof_sent[p, l], "
        "hello[p, l] == welcome and after(other_end[p, l]) != none)",
        "OtherLinksStay": "all(after(link[p, x]) == link[p, x] for x in Link if x != l)",
    },
    crash="all(after(link[p, l]) == closed and after(other_end[p, l]) == none "
    "and not after(link_proved[p, l]) and not after(cookie_spent[p, l]) for l in Link)",
    first="all(link[p, l] == closed and not link_proved[p, l] for l in Link)",
)
