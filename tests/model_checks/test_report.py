"""The report: well-formed, complete, offline, and every link leads somewhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import asdict, evolve

from model_checks import runner
from model_checks.console import Unusable
from model_checks.engines.arithmetic import CLAIMS
from model_checks.engines.oracle import Oracle
from model_checks.models import CASES, CONTROLS
from model_checks.report import findings_part, markup, protocol_part, results, sequence
from model_checks.report.__main__ import main
from model_checks.report.outcomes import answers
from model_checks.report.page import page
from model_checks.report.state_chart import chart, everywhere
from model_checks.runner import explore_case
from model_checks.system import close
from spec.findings import FINDINGS
from spec.invariants import PROPERTIES
from spec.protocol import PROTOCOL

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


class Reader(HTMLParser):
    """Collects what a browser would see, and every tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: Counter[str] = Counter()
        self.targets: set[str] = set()
        self.resources: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name == "href" and (value or "").startswith("#"):
                self.targets.add((value or "")[1:])
            elif name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.resources.append(f"{tag} {name}={value}")
            elif name.startswith("on"):
                self.faults.append(f"{tag} {name}")
        if tag not in markup.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


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
def written(found: results.Results) -> str:
    """The page."""
    return page(found)


@pytest.fixture(scope="module")
def read(written: str) -> Reader:
    """What a browser makes of the page."""
    return Reader(written)


def test_every_element_is_closed_where_it_should_be(read: Reader) -> None:
    """A helper that forgets an end tag, or a text that was not escaped."""
    assert read.faults == []
    assert read.open == []


def test_every_link_leads_to_exactly_one_place(read: Reader) -> None:
    """A row that has moved, a counterexample that nobody drew, two elements with one id."""
    assert read.targets - set(read.ids) == set()
    assert [name for name, count in read.ids.items() if count > 1] == []


def test_nothing_is_loaded_and_nothing_runs(written: str, read: Reader) -> None:
    """A font, a script or a picture from outside: the file is for machines without a network."""
    assert read.resources == []
    assert not read.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert re.findall(r"https?:|//\w|@import|url\(", written) == []


def test_all_rows_cells_formulas_and_findings_are_there(read: Reader) -> None:
    """A table that the page forgot, or a column of it."""
    letters = re.sub(r"\s+", "", read.text)
    for machine in PROTOCOL.machines.values():
        for number, row in enumerate(machine.table.rows, start=1):
            assert f"row-{markup.anchor(machine.table.name)}-{number}" in read.ids
            for text in (row.event, *row.only_if):
                assert re.sub(r"\s+", " ", text) in read.text
            words = re.sub(r"[\s]+", "", row.why)
            assert words in letters
    assert {markup.anchor("cell", name) for name in PROTOCOL.cells} <= set(read.ids)
    names = PROTOCOL.names.definitions
    assert {markup.anchor("formula", name) for name in names} <= set(read.ids)
    assert {finding.id for finding in FINDINGS} <= set(read.ids)
    for finding in FINDINGS:
        for text in (finding.source_rule, finding.what_breaks, finding.rule):
            assert text in read.text
    assert {markup.anchor("property", prop.name) for prop in PROPERTIES} <= set(read.ids)


def test_each_counterexample_is_drawn_once(found: results.Results, written: str) -> None:
    """A finding without its run, or a run that two findings repeat."""
    for model in found.models:
        for name, steps in model.traces.items():
            id_ = markup.anchor("trace", model.name, name)
            assert steps
            assert written.count(f'id="{id_}"') == 1


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
    read = Reader(page(results.Results(False, (model,)), (mutant,), protocol))
    assert read.faults == []
    assert "script" not in read.tags
    assert read.resources == []
    assert read.text.count(HOSTILE) >= 7


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
        if "faulty" in str(runner._chosen(case.instance, state))
    )
    chosen, far = runner._chosen(case.instance, first), runner._farthest(case.instance, first)
    told = {"traces": {"FreshStartSigns": ()}, "starts": {"FreshStartSigns": chosen},
            "farthest": {"FreshStartSigns": tuple(map(str, far))}}
    model = results.Model(case.name, "explicit", "refuted", True, **told)
    text = "".join(findings_part.Page(results.Results(True, (model,))).findings())
    assert "FreshStartSigns refuted from the first state on</a>" in text
    assert "this is how far a run comes" in text
    assert f"At the start: <code>{chosen[0]}</code>" in text
    assert text.count("<svg") == 1
    assert re.search(r">peer \d \(faulty\)<", text)


def test_only_moves_of_liars_are_drawn_as_lies() -> None:
    """An honest peer that is shown as a liar because nobody's row moves it."""
    by_name = {
        action.name: sequence.by_liar(action)
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
    read = Reader(page(evolve(found, holds=False, models=(wrong, *found.models[1:]))))
    assert "Verdict: NOT as expected" in read.text
    assert "depth is 3, pinned is 4" in read.text


def test_survivors_are_named_and_the_score_leaves_out_equivalents(found: results.Results) -> None:
    """A score that counts what cannot be noticed, or hides who survived."""
    fates = [("a", "property"), ("b", "survived"), ("c", "equivalent")]
    told = [{"name": f"mutant {n}", "kind": "guard", "verdict": v, "by": "x"} for n, v in fates]
    mutants = results.mutants({"mutants": told, "unexplained": ["mutant b (x)"]}, "here")
    text = Reader(page(found, mutants)).text
    assert "1 of 2 of the changes" in text
    assert "Survivors: 1 mutant b x no reason given" in text


def test_findings_without_results_say_so() -> None:
    """Evidence that is claimed although nothing was run."""
    read = Reader("".join(findings_part.Page(results.Results(True, ())).findings()))
    assert read.text.count("not in these results") > 20
    assert not re.search(r": holds|refuted in|\(z3\)|fails in", read.text)


def test_the_number_of_a_finding_in_a_reason_is_a_link() -> None:
    """A reader who has to search for F-09, and a link to a finding that does not exist."""
    assert protocol_part.with_findings("F-09: <b>") == '<a href="#F-09">F-09</a>: &lt;b&gt;'
    assert protocol_part.with_findings("F-99") == "F-99"


def test_the_command_writes_the_file(found: results.Results, tmp_path: Path) -> None:
    """A command line that writes something else than the page."""
    told = [asdict(model) for model in found.models]
    source, target = tmp_path / "check.json", tmp_path / "out.html"
    source.write_text(json.dumps({"holds": True, "models": told}), encoding="utf-8")
    assert main(["--results", str(source), "--output", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == page(found)


@pytest.mark.parametrize("text", ["", "[]", '{"tables": []}', '{"holds": 1, "models": [{}]}'])
def test_a_file_that_is_no_result_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack trace for the wrong file; or an empty report that looks like a good one."""
    source, target = tmp_path / "check.json", tmp_path / "out.html"
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
    verdict = runner.Verdict("block_list Peer=3 N=3 F=1 T=2", "explicit", "holds", ("depth is 3",))
    monkeypatch.setattr(runner, "run", lambda selection: iter((verdict,)))
    target = tmp_path / "out.html"
    assert main(["--output", str(target)]) == 0
    text = target.read_text(encoding="utf-8")
    assert "depth is 3" in text
    assert "Verdict: NOT as expected" in text
