from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict

import pytest
import yaml

from conftest import ROOT
from daemon import Daemon
from metaphased import models

GRAFANA = ROOT / "clients/grafana"
# What Prometheus itself adds to every series.
ADDED = {"instance", "job"}
KEYWORDS = {
    "by", "without", "and", "or", "unless", "on", "ignoring", "group_left", "group_right", "bool", "offset",
    "sum", "max", "min", "avg", "count", "rate", "increase", "deriv", "min_over_time", "max_over_time",
}  # fmt: skip


def expressions() -> list[str]:
    """Every PromQL expression of the dashboard and of the alerts."""
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((GRAFANA / "alerts.yml").read_text())["groups"]
    return shown + [rule["expr"] for group in rules for rule in group["rules"]]


def named(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Metrics with the labels that are matched on them, and labels that are grouped by."""
    grouped: set[str] = set()

    def group(found: re.Match[str]) -> str:
        grouped.update(re.findall(r"\w+", found[1]))
        return " "

    text = re.sub(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", group, expression)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    metrics: dict[str, set[str]] = defaultdict(set)
    for name, matchers in re.findall(r"\b([a-z_:][\w:]*)\s*(?:\{([^}]*)\})?(?!\s*\()", text):
        if name not in KEYWORDS and (name.startswith("metaphased_") or matchers):
            metrics[name].update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
    return metrics, grouped


def given(text: str) -> dict[str, set[str]]:
    """Metrics with their labels, from `/metrics`."""
    metrics: dict[str, set[str]] = defaultdict(set)
    for name, labels in re.findall(r"^(metaphased_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        metrics[name].update(re.findall(r"(\w+)=\"", labels))
    return metrics


# Written only once a frame has met that fate, with its reason; the reference lists them.
COUNTED_LATER = {
    "metaphased_frames_dropped_total": {"source", "reason"},
    "metaphased_frames_rejected_total": {"source", "reason"},
}


@pytest.fixture(scope="module")
def metrics(daemon: Daemon, cells: list[models.Cell]) -> dict[str, set[str]]:
    """What a station gives that has found cells."""
    metrics = given(daemon.text("/metrics"))
    for name, labels in COUNTED_LATER.items():
        assert metrics.setdefault(name, labels) == labels
    return metrics


def test_every_metric_of_dashboard_and_alerts_exists(metrics: dict[str, set[str]]) -> None:
    assert len(expressions()) > 25
    for expression in expressions():
        used, grouped = named(expression)
        assert used, expression
        for name, labels in used.items():
            if name == "up":
                continue
            assert name in metrics, f"{name} in {expression}"
            assert labels <= metrics[name] | ADDED, f"{labels} of {name}"
            assert grouped <= metrics[name] | ADDED, f"by {grouped} over {name}"


def test_every_metric_is_documented(metrics: dict[str, set[str]]) -> None:
    reference = (ROOT / "docs/reference/metrics.md").read_text()
    assert not [name for name in metrics if name not in reference]


def test_a_metric_that_is_not_there_would_be_found() -> None:
    used, grouped = named('sum by (reason) (rate(metaphased_frames_gone_total{source=~"$x"}[5m])) / metaphased_other')
    assert used == {"metaphased_frames_gone_total": {"source"}, "metaphased_other": set()}
    assert grouped == {"reason"}


def test_the_alerts_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian: prometheus)")
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"], cwd=GRAFANA, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) and dashboard["uid"] == "metaphased"
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert all(x + w <= 24 for x, _, w, _ in places)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard["panels"]))) <= variables
