"""The dashboards are what Grafana loads, show existing metrics, and are written from their definitions."""

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support.sources import ROOT
from tools.dashboards.main import FOLDER, RENDERS, render
from tools.dashboards.panels import COLUMNS
from tools.reference import metrics

PROVISIONING = ROOT / "infra" / "grafana" / "provisioning"
every_dashboard = pytest.mark.parametrize("name", RENDERS)


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def test_no_other_file_is_loaded() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(RENDERS)
    uids = [document(name)["uid"] for name in RENDERS]
    assert len(set(uids)) == len(uids)


@every_dashboard
def test_the_file_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == render(name), "run `make reference`"


@every_dashboard
def test_grafanas_own_model_has_every_field(name: str) -> None:
    """Its SDK is generated from the schema: what it does not know is lost when it reads and writes a dashboard."""
    known = json.loads(json.dumps(Dashboard.from_json(document(name)), cls=JSONEncoder))
    assert _lost(document(name), known) == []


@every_dashboard
def test_metrics_exist_and_panels_do_not_overlap(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in document(name)["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in document(name)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        cells |= mine
        for target in panel.get("targets", []):
            assert panel["description"]
            named = set(re.findall(r"\b(?:[a-z]+_){2,}[a-z]+\b(?=[{\[) ,]|$)", target["expr"]))
            own = {each for each in named if not each.startswith(("process_", "http_re", "http_ro", "histogram_"))}
            assert {re.sub("_(bucket|count|sum)$", "", each) for each in own} <= metrics.names(), target["expr"]


def test_the_data_sources_are_those_of_the_dashboards() -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "datasources.yaml").read_text())["datasources"]
    uids = {source["uid"] for source in sources}
    used = {panel["datasource"]["uid"] for name in RENDERS for panel in document(name)["panels"] if "targets" in panel}
    assert used <= uids
    [prometheus] = [source for source in sources if source["type"] == "prometheus"]
    assert {to["datasourceUid"] for to in prometheus["jsonData"]["exemplarTraceIdDestinations"]} <= uids


def _lost(written: Any, known: Any, at: str = "") -> list[str]:
    """What the second lacks of the first."""
    if isinstance(written, dict):
        if not isinstance(known, dict):
            return [at]
        return [
            lost
            for key, value in written.items()
            for lost in ([f"{at}.{key}"] if key not in known else _lost(value, known[key], f"{at}.{key}"))
        ]
    if isinstance(written, list):
        if not isinstance(known, list) or len(written) != len(known):
            return [at]
        return [lost for a, b in zip(written, known, strict=True) for lost in _lost(a, b, f"{at}[]")]
    return [] if written == known else [at]
