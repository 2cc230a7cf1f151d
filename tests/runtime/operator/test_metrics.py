"""What a collector sees, the page that tells of it, and the dashboard that draws it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import metanode.runtime.operator as package
from metanode.runtime.operator.catalogue import BY_NAME, COUNTER, HISTOGRAM, METRICS
from metanode.runtime.operator.metrics import Metrics
from tests.runtime.operator.made_status import status
from tools import metrics_page

FOLDER = Path(str(package.__file__)).parent
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
UNITS = ("seconds", "bytes", "ratio", "blocks", "info")
"""The base units that names may end with, beside what is counted in itself."""
TIME = re.compile(r"(milli|micro|minutes|hours|_ms|_s$|_kb|percent)")


def watched(**changes: Any) -> Metrics:
    """Return the metrics of a node that gives a made status."""
    metrics = Metrics()
    metrics.watch(lambda: status(**changes), lambda: 7)
    return metrics


def value(text: str, name: str, **labels: str) -> float:
    """Return one sample."""
    [found] = (
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return found


def test_metrics_text() -> None:
    """Catches a counter that does not count, and two nodes in one process sharing a registry."""
    metrics, other = Metrics(), Metrics()
    metrics.frame("in", 10)
    metrics.frame("in", 20)
    metrics.refused_frame("oversized")
    metrics.round("signed", 0.4)
    metrics.transition("peer")
    metrics.rejected("peer")
    text = metrics.render().decode()
    for line in (
        'metanode_frames_total{direction="in"} 2.0',
        'metanode_frame_bytes_total{direction="in"} 30.0',
        'metanode_frames_refused_total{reason="oversized"} 1.0',
        'metanode_rounds_total{outcome="signed"} 1.0',
        'metanode_round_duration_seconds_bucket{le="0.5",outcome="signed"} 1.0',
        'metanode_round_duration_seconds_bucket{le="0.25",outcome="signed"} 0.0',
        'metanode_transitions_total{table="peer"} 1.0',
        'metanode_transitions_rejected_total{table="peer"} 1.0',
    ):
        assert line in text
    assert 'metanode_frames_total{direction="in"} 0.0' in other.render().decode()


def test_what_a_status_says_is_read_when_it_is_asked_for() -> None:
    """Catches a gauge that nobody sets, and a reason that stays at 0."""
    text = watched(health="clock_off", links=[]).render().decode()
    assert value(text, "metanode_ready") == 0
    assert value(text, "metanode_hindrance", reason="clock_off") == 1
    assert value(text, "metanode_hindrance", reason="few_links") == 1
    assert value(text, "metanode_hindrance", reason="no_key") == 0
    assert value(text, "metanode_phase", phase="Idle") == 1
    assert value(text, "metanode_phase", phase="Signing") == 0
    assert value(text, "metanode_payouts", state="COMPLETED") == 1
    assert value(text, "metanode_deposits_waiting", waits_for="round") == 1
    assert value(text, "metanode_chain_height_blocks") == 151
    assert value(text, "metanode_input_queue_length") == 7
    assert value(watched().render().decode(), "metanode_ready") == 1
    before = watched(key=None, chain=None).render().decode()
    assert value(before, "metanode_key_epoch") == 0
    assert value(before, "metanode_chain_height_blocks") == 0


def test_the_catalogue_has_what_a_collector_sees_and_nothing_else() -> None:
    """Catches a metric that the page does not tell of, or one that is told of and never sent."""
    seen = {
        family.name + ("_total" if family.type == COUNTER else ""): family
        for family in text_string_to_metric_families(watched().render().decode())
        if not family.name.startswith("process_")
    }
    assert set(seen) == set(BY_NAME)
    for name, family in seen.items():
        assert (family.type, family.documentation) == (BY_NAME[name].kind, BY_NAME[name].doc)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(BY_NAME[name].labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Any) -> None:
    """Catches a counter without ``_total``, a unit that is none of the base units, and a label
    that repeats the name.
    """
    assert re.fullmatch(r"metanode_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == COUNTER)
    assert not TIME.search(metric.name)
    assert metric.doc.endswith(".")
    assert bool(metric.buckets) == (metric.kind == HISTOGRAM)
    if metric.kind == HISTOGRAM:
        assert metric.name.endswith(UNITS)
    assert len(BY_NAME) == len(METRICS)


def test_the_page_of_all_metrics_is_current(tmp_path: Path) -> None:
    """Catches a metric that was added or renamed without its page."""
    assert metrics_page.main(["--check"]) == 0
    stale = tmp_path / "METRICS.md"
    stale.write_text("old")
    assert metrics_page.main(["--check"], stale) == 1
    assert stale.read_text() == "old"
    assert metrics_page.main([], stale) == 0
    assert metrics_page.main(["--check"], stale) == 0


def queries() -> list[str]:
    """Return what the panels of the dashboard ask for."""
    return [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    """Catches a panel that stays empty for ever after a metric was renamed."""
    parts = {name + part for name, m in BY_NAME.items() if m.kind == HISTOGRAM
             for part in ("_bucket", "_count", "_sum")}
    exists = {*BY_NAME, *parts, "process_cpu_seconds_total", "process_resident_memory_bytes"}
    asked = {word for query in queries() for word in re.findall(r"(?:metanode|process)_\w+", query)}
    assert asked <= exists
    left = {m.name for m in METRICS} - {re.sub("_(bucket|count|sum)$", "", word) for word in asked}
    assert left <= {"metanode_build_info", "metanode_start_time_seconds"}, "on no panel"


def test_the_dashboard_can_be_imported() -> None:
    """Catches panels over each other, two with one id, and one that is bound to one server."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    for query in queries():
        assert "$instance" in query
    assert {v["name"] for v in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
