"""Log validation: honest runs pass, and every edit is refused at its line, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_checks.conformance import check_traces, main
from model_checks.epochs import Settings
from model_checks.trace_log import Refusal
from tests.model_checks.made_runs import keygen_alone, whole_run
from tests.model_checks.trace_files import (
    NODE,
    Record,
    chained,
    key,
    place,
    refused,
    save,
    written,
)


def test_a_run_with_a_crash_is_legal(tmp_path: Path) -> None:
    """Catches a validator that refuses what the tables allow; ``tests/conformance`` has real cores.
    """
    traces = whole_run()
    *said, all_told = check_traces(written(tmp_path, traces))
    assert len(said) == 4
    assert all(": legal, " in each for each in said)
    lines = sum(map(len, traces.values()))
    assert all_told == f"4 nodes, {lines} lines, every step legal"
    assert sum("2 starts" in each for each in said) == 1


@pytest.mark.parametrize(
    ("event", "row", "source", "lost"),
    [("Recover", 7, "IN_PROGRESS", 2), ("Retry", 12, "FAILED", 3)],
)
def test_what_a_crash_parted_from_the_trace(
    event: str, row: int, source: str, lost: int, tmp_path: Path
) -> None:
    """Catches a refusal of an input that was flushed and not traced, and leave for more than one.

    The node is killed when an event was created and begun; it fails only by a later input.
    """
    records = whole_run()[NODE]
    rows = [(r.get("table"), r.get("event")) for r in records]
    at = max(n for n, row in enumerate(rows) if row == ("event", "Create"))
    created, cut = records[at], records[:at]
    named = created["parameters"]
    first_after = {
        **created,
        "event": event,
        "row": row,
        "from": source,
        "to": "PENDING",
        "parameters": named,
        "reads": {},
    }
    traces = {NODE: [*cut, {"kind": "started", "at": created["at"]}, first_after]}
    if lost > 2:
        refused(tmp_path, traces, len(cut) + 1, "is FAILED, but the trace left it at UNKNOWN")
    else:
        told = "\n".join(check_traces(written(tmp_path, traces)))
        assert "written before a crash, not traced" in told
        assert "was UNKNOWN, is IN_PROGRESS" in told


# --- edits whose chain was made whole again ------------------------------------------------------


def test_a_line_left_out(tmp_path: Path) -> None:
    """Catches a step that nobody took: the next one begins in a state that was never reached."""
    traces = whole_run()
    del traces[NODE][place(traces[NODE], "peer", "Matched")]
    at = place(traces[NODE], "peer", "SetFound")
    refused(tmp_path, traces, at, "is SetBuilding, but the trace left it at Proposing")


def test_a_message_left_out(tmp_path: Path) -> None:
    """Catches a node that has seen a message of its own that it never sent."""
    traces = whole_run()
    del traces[NODE][place(traces[NODE], "peer", "RoundTick")]
    at = place(traces[NODE], "round", "Accept")
    refused(tmp_path, traces, at, r"proposed\[.*\] is True, but this node had not sent it")


def test_two_lines_changed_places(tmp_path: Path) -> None:
    """Catches an effect before its cause."""
    traces = whole_run()
    records = traces[NODE]
    at = place(records, "keygen", "Store")
    after = place(records, "keygen", "Certify")
    records[at], records[after] = records[after], records[at]
    refused(tmp_path, traces, at, r"row 4 of keygen .*stored, but the trace left it at generating")


def test_a_forged_fact(tmp_path: Path) -> None:
    """Catches a false conjunct; the refusal names row and conjunct."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    record = traces[NODE][at]
    record["reads"][key(record, "transfer_eligible")] = "False"
    refused(tmp_path, traces, at, r"row 8 of peer \(Idle -Offer-> Idle\): 'transfer_eligible\[p\]'")


def test_a_forged_read_of_an_own_cell(tmp_path: Path) -> None:
    """Catches a memory that the lines before contradict."""
    traces = whole_run()
    at = place(traces[NODE], "session", "Release")
    record = traces[NODE][at]
    record["reads"][key(record, "instance_used")] = "True"
    refused(tmp_path, traces, at, r"instance_used\[.*\] is True, but the trace left it at False")


def test_a_ghost_that_was_read(tmp_path: Path) -> None:
    """Catches a cell that exists for properties only and yet has a value at a node."""
    traces = whole_run()
    at = place(traces[NODE], "session", "Release")
    record = traces[NODE][at]
    record["reads"][key(record, "released_in")] = "True"
    refused(tmp_path, traces, at, "no node holds a ghost cell")


def test_a_certificate_of_too_few(tmp_path: Path) -> None:
    """Catches a count that is short of T."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Certified")
    record = traces[NODE][at]
    votes = sorted(n for n, v in record["reads"].items() if n.startswith("vote[") and v == "True")
    others = [name for name in votes if not name.startswith(f"vote[{record['parameters']['p']}")]
    assert len(votes) >= 3
    for name in others[: len(votes) - 2]:
        record["reads"][name] = "False"
    refused(tmp_path, traces, at, r"'may_lock\(p, e, r, d\)' is false on what the line read")


def test_a_read_left_out(tmp_path: Path) -> None:
    """Catches a guard that was never asked."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    record = traces[NODE][at]
    del record["reads"][key(record, "regroup_near")]
    refused(tmp_path, traces, at, r"'not regroup_near\[p\]' asks for regroup_near\[")


def test_a_released_share_is_not_forgotten(tmp_path: Path) -> None:
    """Catches a disk cell that is left out under a quantifier: the lines before tell it."""
    traces = whole_run()
    records = traces[NODE]
    at = place(records, "session", "Release")
    released = dict(records[at]["parameters"])
    line = {
        **records[at], "table": "event", "row": 10, "event": "ProtocolError",
        "from": "IN_PROGRESS", "to": "FAILED", "reads": {}, "sends": [],
        "parameters": {"p": released["p"], "e": released["e"]},
        "input": "begin", "turn": [records[at]["turn"][0] + 1, 3, 1],
        "writes": [f"status[{released['p']}, {released['e']}]"],
    }
    here = f"released[{released['p']}, {released['e']}, {released['d']}]"
    records.insert(at + 1, {**line, "reads": {here: "False"}})
    refused(tmp_path, traces, at + 1, r"released\[.*\] is False, but the trace left it at True")


def test_a_count_without_its_numbers(tmp_path: Path) -> None:
    """Catches a threshold that nobody can look at: what a guard counts against is in the line."""
    for name, reason in (("N", "asks for a read for every member"), ("T", r"asks for T\[.*, 7\]"),
                         ("NT", "is false on what the line read")):
        traces = whole_run()
        at = place(traces[NODE], "peer", "Certified")
        for each in name:
            del traces[NODE][at]["reads"][key(traces[NODE][at], f"{each}[")]
        refused(tmp_path / name, traces, at, rf"'may_lock\(p, e, r, d\)' {reason}")


def test_a_member_left_out_of_a_count(tmp_path: Path) -> None:
    """Catches a peer who was never asked, in a count that would come out the same."""
    traces = whole_run()
    at = place(traces[NODE], "keygen", "Certify")
    reads = traces[NODE][at]["reads"]
    del reads[next(n for n in reads if n.startswith("confirmed["))]
    refused(tmp_path, traces, at, "asks for a read for every member, which the line did not read")


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ({"T[": "4"}, r"T is 4, but 3 by .*/node-\d/trace-000001.jsonl:\d+$"),
        ({"N[": "5"}, r"N is 5, but 4 by "),
    ],
)
def test_a_threshold_that_is_not_that_of_the_others(
    tmp_path: Path, numbers: Record, match: str
) -> None:
    """Catches a node that counts to another threshold than the others."""
    traces = whole_run()
    at = place(traces[NODE], "session", "Begin")
    reads = traces[NODE][at]["reads"]
    reads.update({key(traces[NODE][at], name): value for name, value in numbers.items()})
    refused(tmp_path, traces, at, match)


def test_a_threshold_that_is_unsafe(tmp_path: Path) -> None:
    """Catches a network that agrees on a threshold under which two sets could sign twice."""
    traces = {NODE: whole_run()[NODE]}
    counted = [(n, name) for n, record in enumerate(traces[NODE])
               for name in record.get("reads", ()) if name.startswith("T")]
    for number, name in counted:
        traces[NODE][number]["reads"][name] = "2"
    at = counted[0][0]
    refused(tmp_path, traces, at, r"row 6 of session .*: 2t-n > f must hold, but 2\*2-4 = 0 <= 0")
    with pytest.raises(Refusal, match="T is 2, but 3 by the command line"):
        check_traces([tmp_path / NODE], Settings(threshold=3))


def test_an_effect_that_was_not_written(tmp_path: Path) -> None:
    """Catches a lock that never reached the disk."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Certified")
    traces[NODE][at]["writes"] = traces[NODE][at]["writes"][:1]
    refused(tmp_path, traces, at, r"it does not write lock_attempt\[.*an effect of the row")


def test_a_write_too_many(tmp_path: Path) -> None:
    """Catches a flush that no row asked for."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    lock = next(w for w in traces[NODE][place(traces[NODE], "peer", "Certified")]["writes"])
    traces[NODE][at]["writes"] = [lock]
    refused(tmp_path, traces, at, "which is no effect of the row")


def test_a_message_too_many(tmp_path: Path) -> None:
    """Catches a message that no row sent."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Matched")
    traces[NODE][at]["sends"] = ["set_sent", "vote"]
    refused(tmp_path, traces, at, "it sends set_sent, vote, the row sends set_sent")


def test_a_vote_that_was_never_cast(tmp_path: Path) -> None:
    """Catches whole lines cut off the end: others have seen what the cut lines sent."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "SetFound")
    del traces[NODE][at:]
    with pytest.raises(Refusal, match=r"vote\[.*was seen, but the sender's trace, .*does not send"):
        check_traces(written(tmp_path, traces))


def test_a_vote_that_was_seen_too_early(tmp_path: Path) -> None:
    """Catches a cycle: two nodes that each saw the other's message before it was sent."""
    traces = whole_run()
    other = traces["node-0"]
    mine, theirs = (place(t, "peer", "SetFound") for t in (traces[NODE], other))
    vote = f"vote[{other[theirs]['parameters']['p']}, "
    seen = next(
        name
        for record in traces[NODE]
        for name in record.get("reads", {})
        if name.startswith(vote) and str(other[theirs]["parameters"]["r"]) in name
    )
    traces[NODE][mine]["reads"][seen] = "True"
    back = other[theirs]["reads"]
    back[seen.replace(vote, f"vote[{traces[NODE][mine]['parameters']['p']}, ")] = "True"
    with pytest.raises(Refusal, match="sends it later, if at all"):
        check_traces(written(tmp_path, traces))


def test_a_second_vote(tmp_path: Path) -> None:
    """Catches two votes in one attempt, whatever the line says it has read."""
    traces = whole_run()
    records = traces[NODE]
    at = place(records, "peer", "SetFound")
    second = {**records[at], "reads": dict(records[at]["reads"]), "from": "SetBuilding"}
    records.insert(at + 1, second)
    refused(tmp_path, traces, at + 1, r"phase\[.*\] is SetBuilding, but the trace left it at Thre")


def test_a_start_left_out(tmp_path: Path) -> None:
    """Catches a memory that became empty without a crash."""
    traces = whole_run()
    records = traces["node-2"]
    at = next(n for n, r in enumerate(records) if n and r["kind"] == "started")
    del records[at]
    refused(tmp_path / "turn", traces, at, "comes after turn", "node-2")
    records[at]["turn"][0] = records[at - 1]["turn"][0] + 1
    with pytest.raises(Refusal, match="but the trace left it at|but this node had sent it"):
        check_traces(written(tmp_path, traces))


def test_a_line_of_another_node(tmp_path: Path) -> None:
    """Catches a line that was copied from another node's trace."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    traces[NODE].insert(at, traces["node-0"][place(traces["node-0"], "peer", "Offer")])
    refused(tmp_path, traces, at, "it speaks of another node than the trace")


def test_a_start_of_another_node(tmp_path: Path) -> None:
    """Catches two traces that were joined."""
    traces = whole_run()
    own = traces[NODE][place(traces[NODE], "peer", "Offer")]["parameters"]["p"]
    traces[NODE][0]["node"] = own + "00" * 25
    check_traces(written(tmp_path, traces))
    traces[NODE][0]["node"] = "02" * 33
    refused(tmp_path, traces, 0, "it is another node than the trace's")


# --- the network ---------------------------------------------------------------------------------


def test_nodes_that_lock_in_different_keys(tmp_path: Path) -> None:
    """Catches traces that are each legal and together are not."""
    traces = {"a": keygen_alone("a", 1), "b": keygen_alone("b", 2)}
    alone = [tmp_path / "alone"]
    save(alone[0], chained(traces["a"]))
    assert check_traces(alone)
    with pytest.raises(Refusal, match="LockInAgreement does not hold in the network") as caught:
        check_traces(written(tmp_path, traces), Settings(threshold=1, faulty=0))
    assert re.search(r"/b/.*:6$", caught.value.where)


# --- the command line ----------------------------------------------------------------------------


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a refusal that a script takes for success, or for a missing file."""
    traces = whole_run()
    paths = [str(path) for path in written(tmp_path / "good", traces)]
    assert main(paths) == 0
    assert capsys.readouterr().out.count(": legal, ") == 4
    del traces[NODE][place(traces[NODE], "peer", "Matched")]
    assert main([str(path) for path in written(tmp_path / "bad", traces)]) == 1
    said = capsys.readouterr().err
    assert "node-1/trace-000001.jsonl:" in said
    assert "row 11 of peer (SetBuilding -SetFound-> ThresholdSet)" in said
    assert said.count("\n") == 1
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    assert main([paths[0], paths[0]]) == 2
    noise = tmp_path / "noise"
    noise.write_bytes(b"\xff\x00 no trace\n")
    assert main([str(noise)]) == 2
    assert "no JSON record" in capsys.readouterr().err


def test_members_without_a_trace(tmp_path: Path) -> None:
    """Catches a trace that is refused because a trace that would explain it was not handed in."""
    traces = whole_run()
    *paths, _ = written(tmp_path, traces)
    assert any(line.get("event") == "Release" for line in traces["node-0"])
    for some in (paths, paths[:1]):
        assert check_traces(some)[-1].endswith("every step legal")


def test_starts_that_nobody_marked(tmp_path: Path) -> None:
    """Catches the traces of a shell without ``started`` records being refused, or not judged."""
    traces = whole_run()
    bare = {n: [r for r in records if r["kind"] != "started"] for n, records in traces.items()}
    *said, _ = check_traces(written(tmp_path / "bare", bare))
    assert all("starts not marked" in each for each in said)
    at = place(bare[NODE], "peer", "Offer")
    bare[NODE][at]["reads"][key(bare[NODE][at], "transfer_eligible")] = "False"
    refused(tmp_path / "forged", bare, at, "transfer_eligible")
