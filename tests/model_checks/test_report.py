"""The report: well-formed, complete, offline, every link leads somewhere, the weakest first."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import asdict, evolve

from model_checks import runner
from model_checks.console import Unusable
from model_checks.engines.arithmetic import CLAIMS
from model_checks.engines.oracle import Oracle
from model_checks.models import CASES, CONTROLS
from model_checks.report import evidence, findings_part, markup, protocol_part, results, sequence
from model_checks.report.__main__ import main
from model_checks.report.evidence import answers, promises
from model_checks.report.pages import START, report
from model_checks.report.state_chart import chart
from model_checks.runner import explore_case
from model_checks.system import close
from model_checks.traces import Traces, actor
from spec.findings import FINDINGS
from spec.invariants import PROPERTIES
from spec.language.shape import everywhere
from spec.protocol import PROTOCOL
from tests.model_checks.pages import Reader

SEARCHED = (
    "refund_on_own_word",
    "keygen_ends_locally",
    "block_list_silence_is_guilt",
    "block_list_word_is_enough",
    "link_whoever_notices",
    "swap_other_coins",
    "block_list",
)
HOSTILE = '<script src="x">&"\'</td>'


@pytest.fixture(scope="module")
def found() -> results.Results:
    """Real counterexamples of the smallest searches, and made-up outcomes of the provers."""
    verdicts = []
    for case in CASES:
        if case.network.name in SEARCHED and not case.deep:
            # Nothing is compared with the pinned numbers here: only what was found matters.
            verdicts.append({**explore_case(case).as_json(), "expected": True, "faults": []})
    told = {"expected": True, "faults": [], "distinct": 0, "generated": 0, "depth": 0}
    told |= {"seconds": 0.5, "traces": {}, "note": ""}
    proved = {**told, "engine": "z3, cvc5", "result": "holds"}
    verdicts.append({**proved, "name": "block_list, every size", "note": "30 obligations"})
    broken = next(case for case in CONTROLS if case.name == "refund_on_own_word")
    said = {"engine": "z3", "result": "refuted", "note": broken.fails[0]}
    verdicts.append({**told, **said, "name": f"{broken.name}, every size"})
    verdicts += [{**proved, "name": f"{c.name}, every n: {c.doc}"} for c in CLAIMS]
    return results.models({"holds": True, "models": verdicts}, "here")


@pytest.fixture(scope="module")
def written(found: results.Results) -> dict[str, str]:
    """The files."""
    return report(found)


@pytest.fixture(scope="module")
def read(written: dict[str, str]) -> dict[str, Reader]:
    """What a browser makes of each page."""
    return {name: Reader(text) for name, text in written.items() if name.endswith(".html")}


def test_every_element_is_closed_where_it_should_be(read: dict[str, Reader]) -> None:
    """A helper that forgets an end tag, or a text that was not escaped."""
    assert {name: page.faults for name, page in read.items() if page.faults} == {}
    assert {name: page.open for name, page in read.items() if page.open} == {}


def test_every_link_leads_to_exactly_one_place(
    written: dict[str, str], read: dict[str, Reader]
) -> None:
    """A row that has moved, a counterexample that nobody drew, two places with one id."""
    for name, page in read.items():
        assert page.targets - set(page.ids) == set(), name
        for file, id_ in page.files:
            assert file in written, name
            assert not id_ or id_ in read[file].ids, (name, file, id_)
        assert page.ids["search"] == 1
    ids = sum((page.ids for page in read.values()), Counter())
    twice = {id_ for id_, number in ids.items() if number > 1}
    assert twice == {"search", "found", "count"}


def test_every_page_is_reached_from_the_start(read: dict[str, Reader]) -> None:
    """A subject or a table that nothing leads to."""
    seen, waiting = set(), [START]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in read:
            seen.add(name)
            waiting += [file for file, _ in read[name].files]
    assert seen == set(read)


def test_nothing_is_loaded_from_outside(written: dict[str, str], read: dict[str, Reader]) -> None:
    """A font, a program or a picture from elsewhere: it is for machines without a network."""
    for name, page in read.items():
        assert page.resources == [], name
        assert not page.tags & {"img", "iframe", "object", "embed", "base", "form"}
        assert {file for file, _ in page.files if file.endswith(".js")} == {"index.js", "search.js"}
    for name, text in written.items():
        assert re.findall(r"https?:|@import|url\(", text) == [], name


def test_all_rows_cells_formulas_and_findings_are_there(read: dict[str, Reader]) -> None:
    """A table that the report forgot, or a column of it."""
    for machine in PROTOCOL.machines.values():
        page = read[f"table-{machine.table.name}.html"]
        letters = re.sub(r"\s+", "", page.text)
        for number, row in enumerate(machine.table.rows, start=1):
            assert f"row-{markup.anchor(machine.table.name)}-{number}" in page.ids
            for text in (row.event, *row.only_if):
                assert re.sub(r"\s+", " ", text) in page.text
            assert re.sub(r"[\s]+", "", row.why) in letters
    cells = set(read["cells.html"].ids)
    assert {markup.anchor("cell", name) for name in PROTOCOL.cells} <= cells
    assert {markup.anchor("formula", name) for name in PROTOCOL.names.definitions} <= cells
    findings = read["findings.html"]
    for finding in FINDINGS:
        assert finding.id in findings.ids
        for text in (finding.source_rule, finding.what_breaks, finding.rule):
            assert text in findings.text
    properties = set(read["properties.html"].ids)
    assert {markup.anchor("property", prop.name) for prop in PROPERTIES} <= properties


def test_each_counterexample_is_drawn_once_with_its_states(
    found: results.Results, written: dict[str, str]
) -> None:
    """A run that is nowhere, or twice, or whose states nobody sees."""
    whole = "".join(text for name, text in written.items() if name.endswith(".html"))
    for model in found.models:
        for name, steps in model.traces.items():
            id_ = markup.anchor("trace", model.name, name)
            assert steps
            assert whole.count(f'id="{id_}"') == 1
            changed = model.changes[name]
            assert len(changed) == len(steps)
            for line in changed[-1]:
                assert str(markup.escape(line)) in whole


# --- how strong the evidence is ------------------------------------------------------------------


def test_every_promise_is_on_the_start_page_the_weakest_first(
    found: results.Results, read: dict[str, Reader]
) -> None:
    """A promise that is left out, or a strong one above a weak one."""
    listed = promises(found)
    assert [p.grade for p in listed] == sorted(p.grade for p in listed)
    assert {p.spec.name for p in listed} == {p.name for p in PROPERTIES}
    text = read[START].text
    places = [text.index(f" {p.spec.name} {p.spec.meaning} ") for p in listed]
    assert places == sorted(places)
    for one, place, end in zip(listed, places, [*places[1:], len(text)], strict=True):
        assert evidence.GRADES[one.grade] in text[place:end]


def test_rows_that_run_nowhere_are_counted(read: dict[str, Reader]) -> None:
    """Catches a row that only its own record is asked about, and nobody is told."""
    rows = sum(len(machine.table.rows) for machine in PROTOCOL.machines.values())
    outside, idle = evidence.rows_outside(), set(evidence.rows_idle())
    assert len(outside) + len({*evidence.rows_run(), *idle}) == rows
    assert f"{len(idle)} of {rows} rows change nothing" in read[START].text


def test_refuted_and_holds_stand_with_their_sizes(
    found: results.Results, read: dict[str, Reader]
) -> None:
    """A refutation at one size beside a "holds" at another one, without either size."""
    text = read["subject-block_list.html"].text
    for model in found.models:
        case = next((c for c in CASES if c.name == model.name), None)
        if case is not None and case.network.name.startswith("block_list"):
            assert evidence.size_of(case) in text


def test_the_index_finds_rows_findings_and_counterexamples(written: dict[str, str]) -> None:
    """A search that does not know a part of the report, or leads to a place that is not there."""
    index = json.loads(written["index.js"].removeprefix("const INDEX = ").removesuffix(";\n"))
    assert {"F-16", "row-session-1", "cell-lock", "network-signing", "subject-signing"} <= {
        id_ for _, id_, _ in index
    }
    for file, id_, _ in index:
        assert f'id="{id_}"' in written[file]
    lock = next(text for _, id_, text in index if id_ == "cell-lock")
    assert PROTOCOL.cells["lock"].doc in lock


def test_a_hostile_text_stays_text() -> None:
    """Markup in a reason, a step or a name of a model that reaches the page as markup."""
    model = results.Model(
        HOSTILE, "explicit", HOSTILE, False, faults=(HOSTILE,), traces={HOSTILE: (HOSTILE,)}
    )
    machine = PROTOCOL.machines["ping"]
    row = evolve(machine.table.rows[0], why=HOSTILE)
    rules = tuple(evolve(rule, row=evolve(rule.row, why=HOSTILE)) for rule in machine.rules)
    table = evolve(machine.table, doc=HOSTILE, rows=(row, *machine.table.rows[1:]))
    hostile = evolve(machine, table=table, rules=rules)
    protocol = evolve(PROTOCOL, machines={**PROTOCOL.machines, "ping": hostile})
    mutant = results.Mutant(HOSTILE, HOSTILE, "survived", HOSTILE)
    files = report(results.Results(False, (model,)), (mutant,), protocol)
    pages = [Reader(text) for name, text in files.items() if name.endswith(".html")]
    assert all(page.faults == [] and page.resources == [] for page in pages)
    for name, text in files.items():
        if name.endswith(".html"):
            assert text.count("<script") == 2, name
    assert sum(page.text.count(HOSTILE) for page in pages) >= 7


@pytest.mark.parametrize("name", PROTOCOL.machines)
def test_a_chart_has_an_arrow_for_every_rule(name: str) -> None:
    """An event that is missing between two states, or an arrow that no row draws."""
    machine = PROTOCOL.machines[name]
    drawn = ElementTree.fromstring(chart(machine))
    heads = [text.text for text in drawn.iter("text") if text.get("class") == "head"]
    assert sorted(heads) == sorted(machine.states)
    skipped = everywhere(machine)
    wanted = Counter(
        event
        for _, _, event in {
            (r.source, r.target, r.event) for r in machine.rules if r.event not in skipped
        }
    )
    assert wanted == Counter(t.text for a in drawn.iter("a") for t in a.iter("text"))
    told = "; ".join(title.text or "" for title in drawn.iter("title"))
    for rule in machine.rules:
        assert rule.event in skipped or f"row {rule.number}: {rule.row.why}" in told


def test_a_diagram_has_each_step_in_its_lane_with_its_row(found: results.Results) -> None:
    """A step that is drawn for another peer, or that leads to another row."""
    model = next(m for m in found.models if m.name.startswith("refund_on_own_word P"))
    run = model.run("NoPayAndRefund")
    assert run is not None
    steps = run.steps
    drawn = ElementTree.fromstring(sequence.diagram(model.name, run, "a run"))
    boxes = list(drawn.iter("rect"))
    links = [link.get("href", "") for link in drawn.iter("a")]
    assert len(boxes) == len(links) == len(steps)
    lane_of = {text.text: int(text.get("x", "0")) for text in drawn.iter("text")}
    for box, link, step in zip(boxes, links, steps, strict=True):
        peer = re.search(r"p=(\d)", step)
        if peer is not None:
            centre = int(box.get("x", "0")) + sequence.BOX // 2
            called = (f"peer {peer[1]}{word}" for word in ("", " (liar)", " (faulty)"))
            assert [lane_of[lane] for lane in called if lane in lane_of] == [centre]
        if match := re.match(r"(\w+)\.(\w+)", step):
            table, number = link.removeprefix("#row-").rsplit("-", 1)
            row = PROTOCOL.machines[match[1]].table.rows[int(number) - 1]
            assert table == markup.anchor(match[1])
            assert row.event.startswith(f"{match[2]}(")


def test_a_run_without_an_end_is_drawn_with_what_is_repeated() -> None:
    """A counterexample of liveness that shows its steps and not why nothing comes of them."""
    case = next(c for c in CASES if c.network.name == "cooldown_by_advertised_state")
    steps = ("peer.RoundTick(p=0)", "peer.RoundTick(p=1)", "peer.RoundTick(p=2)")
    known = {action.name for action in close(case.network).actions}
    assert "peer.RoundTick" in known
    told = {"traces": {"RoundProgress": steps[:1]}, "loops": {"RoundProgress": steps[1:]}}
    model = results.Model(case.name, "explicit", "refuted", True, **told)
    run = model.run("RoundProgress")
    assert run is not None
    assert run.told == ": 1 step, then 2 for ever"
    drawn = ElementTree.fromstring(sequence.diagram(case.name, run, "a run"))
    boxes = [b for b in drawn.iter("rect") if b.get("class", "").startswith("box")]
    [frame] = [box for box in drawn.iter("rect") if box.get("class") == "loop"]
    top, bottom = int(frame.get("y", "0")), int(frame.get("y", "0")) + int(frame.get("height", "0"))
    inside = [top <= int(b.get("y", "0")) <= bottom - sequence.BOX_HEIGHT for b in boxes]
    assert inside == [False, True, True]


def test_a_run_that_is_stuck_from_the_start_is_shown_as_far_as_it_comes() -> None:
    """A refuted promise of progress whose report says nothing but that it was refuted."""
    case = next(c for c in CASES if c.network.name == "coordinator_stays")
    first = next(
        state
        for state in Oracle(case.instance).initial()
        if "faulty" in str(list(Traces(case.instance).chosen(state)))
    )
    chosen = tuple(Traces(case.instance).chosen(first))
    far = runner._farthest(case.instance, first)
    told = {"traces": {"FreshStartSigns": ()}, "starts": {"FreshStartSigns": chosen},
            "farthest": {"FreshStartSigns": tuple(map(str, far))}}
    model = results.Model(case.name, "explicit", "refuted", True, **told)
    part = findings_part.Part(results.Results(True, (model,)))
    assert "FreshStartSigns refuted from the first state on</a>" in "".join(part.findings())
    text = "".join(part.counterexamples({case.network.name}))
    assert "this is how far a run comes" in text
    assert f"At the start: <code>{chosen[0]}</code>" in text
    assert text.count("<svg") == 1
    assert re.search(r">peer \d \(faulty\)<", text)
    ended = evolve(model, changes={"FreshStartSigns": ((),) * len(far)},
                   ends={"FreshStartSigns": "from here it cannot come any more"})
    text = "".join(findings_part.Part(results.Results(True, (ended,))).counterexamples(
        {case.network.name}))
    assert text.endswith("From here it cannot come any more.</p></div></details>")


def test_only_moves_of_liars_are_drawn_as_lies() -> None:
    """An honest peer that is shown as a liar because nobody's row moves it."""
    by_name = {
        action.name: sequence.by_liar(action, actor(action, "Peer"))
        for case in CASES
        for action in close(case.network).actions
    }
    assert by_name["Forge"]
    assert by_name["ForgeConfirmation"]
    assert not by_name["CutOff"]
    assert not by_name["TimeRunsOut"]
    assert not by_name["Crash"]


def test_steps_of_another_day_are_a_plain_list() -> None:
    """A crash, or a drawing with holes, for results that are older than the tables."""
    name = next(case.name for case in CASES if case.network.name == "block_list")
    run = results.Run("", (), ("gone.Row(p=0)", "CutOff(q=0)"))
    listed = sequence.diagram(name, run, "a run")
    assert listed.startswith("<ol>")
    assert "gone.Row(p=0)" in listed


def test_what_is_not_asked_is_not_said_to_hold(found: results.Results) -> None:
    """A property that a search did not look at to the end and that is reported as holding."""
    told = {(a.model.name.partition(" ")[0], a.property): a.result for a in answers(found)}
    assert told["keygen_ends_locally", "LockInAgreement"].startswith("refuted in ")
    for (network, name), result in told.items():
        case = next((c for c in CASES if c.network.name == network), None)
        if case is not None and not case.whole and not result.startswith("refuted"):
            assert result == "open: ended before", name


def test_a_fault_stands_at_the_top_and_in_its_line(found: results.Results) -> None:
    """A red run that reads like a green one."""
    wrong = evolve(found.models[0], expected=False, faults=("depth is 3, pinned is 4",))
    read = Reader(report(evolve(found, holds=False, models=(wrong, *found.models[1:])))[START])
    assert "Verdict: NOT as expected" in read.text
    assert wrong.name in read.text


def test_the_score_is_what_properties_notice(found: results.Results) -> None:
    """A score in which what the record alone notices counts as much as what a property does."""
    fates = [("a", "property"), ("b", "survived"), ("c", "equivalent"), ("d", "record"),
             ("e", "record"), ("f", "static")]
    told = [{"name": f"mutant {n}", "kind": "guard", "verdict": v, "by": "x"} for n, v in fates]
    told[3]["twice"] = True
    mutants = results.mutants({"mutants": told, "unexplained": ["mutant b (x)"]}, "here")
    files = report(found, mutants)
    text = Reader(files["mutants.html"]).text
    assert "2 of 5 (40 %): noticed by a property of a network, or a proof" in text
    assert "1 of 5 (20 %): noticed by a record only, which says the row again" in text
    assert "were not asked" not in text
    assert "were not asked" in "".join(line for line, _ in evidence.score(mutants[1:3]))
    assert "Survivors: 1 mutant b x no reason given" in text
    assert "2 of 5 (40 %): noticed by a property" in Reader(files[START]).text


def test_findings_without_results_say_so() -> None:
    """Evidence that is claimed although nothing was run."""
    read = Reader("".join(findings_part.Part(results.Results(True, ())).findings()))
    assert read.text.count("not in these results") > 20
    assert not re.search(r": holds|refuted in|\(z3\)|fails in", read.text)


def test_the_number_of_a_finding_in_a_reason_is_a_link() -> None:
    """A reader who has to search for F-09, and a link to a finding that does not exist."""
    assert protocol_part.with_findings("F-09: <b>") == '<a href="#F-09">F-09</a>: &lt;b&gt;'
    assert protocol_part.with_findings("F-99") == "F-99"


def test_the_command_writes_the_folder(found: results.Results, tmp_path: Path) -> None:
    """A command line that writes something else than the report, or that dies of a file."""
    told = [asdict(model) for model in found.models]
    for each in told:  # as check --json has it: states and not their text
        each["states"] = {
            name: {"end": each["ends"][name],
                   "changed": [dict(_parsed(line) for line in lines) for lines in changed]}
            for name, changed in each.pop("changes").items()
        }
        del each["ends"]
    source, target = tmp_path / "check.json", tmp_path / "out"
    source.write_text(json.dumps({"holds": True, "models": told}), encoding="utf-8")
    for _ in range(2):  # a folder that is there is written over
        assert main(["--results", str(source), "--output", str(target)]) == 0
    files = {path.name: path.read_text(encoding="utf-8") for path in target.iterdir()}
    assert files == report(found)
    assert main(["--results", str(source), "--output", str(target / START)]) == 2


def _parsed(line: str) -> tuple[str, list[str]]:
    cell, _, values = line.partition(": ")
    return cell, values.split(" -> ")


@pytest.mark.parametrize("text", ["", "[]", '{"tables": []}', '{"holds": 1, "models": [{}]}'])
def test_a_file_that_is_no_result_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack trace for the wrong file; or an empty report that looks like a good one."""
    source, target = tmp_path / "check.json", tmp_path / "out"
    source.write_text(text, encoding="utf-8")
    assert main(["--results", str(source), "--output", str(target)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("model_checks.report: ")
    assert str(source) in said
    assert said.count("\n") == 1
    assert not target.exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A message that does not name the file."""
    with pytest.raises(Unusable, match=r"none\.json: No such file"):
        results.parsed(tmp_path / "none.json")
    with pytest.raises(Unusable, match="not the output of mutants"):
        results.mutants([], "file")


def test_without_results_the_fast_tier_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of nothing when no file is given, or a run whose faults do not reach the page."""
    name = next(c.name for c in CASES if c.network.name == "block_list")
    verdict = runner.Verdict(name, "explicit", "holds", ("depth is 3",))
    monkeypatch.setattr(runner, "run", lambda selection: iter((verdict,)))
    target = tmp_path / "out"
    assert main(["--output", str(target)]) == 0
    assert "Verdict: NOT as expected" in (target / START).read_text(encoding="utf-8")
    assert "depth is 3" in (target / "subject-block_list.html").read_text(encoding="utf-8")
