"""Names, types and labels of the metrics are an interface: dashboards and alerts of users rely on them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from event_trio.observability.metrics import HttpMetrics, metrics_route
from tests.support.metrics import applications, scrape
from tools.reference import metrics

PINNED = Path(__file__).with_name("metrics.txt")
BOUNDED = {
    "call",
    "check",
    "circuit",
    "compensation",
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "loop",
    "outcome",
    "pool",
    "process",
    "reason",
    "result",
    "state",
    "status",
    "type",
}
"""Labels with few values, none of which a caller or a publisher chooses."""


def test_names_types_and_labels_are_pinned() -> None:
    lines = [line for line in PINNED.read_text().splitlines() if not line.startswith("#")]
    assert [" ".join((name, kind, *labels)) for name, kind, labels in sorted(metrics.declared())] == lines


def test_labels_are_bounded() -> None:
    assert {label for _, _, labels in metrics.declared() for label in labels} == BOUNDED


@pytest.mark.parametrize("name", ["order", "notification", "relay"])
async def test_promtool_finds_nothing_to_improve(name: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    page = (await scrape(applications()[name])).content
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)  # noqa: ASYNC221
    assert (checked.stdout + checked.stderr).decode() == ""
    assert checked.returncode == 0


async def test_a_scraper_that_asks_for_openmetrics_gets_exemplars() -> None:
    registry, app = CollectorRegistry(), FastAPI()
    HttpMetrics(registry).duration.labels("GET", "/", "200").observe(0.01, {"trace_id": "a" * 32})
    app.include_router(metrics_route(registry))
    plain = await scrape(app)
    assert plain.headers["content-type"].startswith("text/plain")
    answer = await scrape(app, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    assert [sample.exemplar.labels for sample in samples if sample.exemplar] == [{"trace_id": "a" * 32}]
