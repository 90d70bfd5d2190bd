"""The parts of a Grafana dashboard, in the JSON that Grafana loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 38
"""The version of Grafana's dashboard schema; newer releases migrate it when they load it."""
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
"""`uid` as in infra/grafana/provisioning/datasources."""
COLUMNS = 24
HEIGHT = 8
RATE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel with a query for each of its series, by legend."""

    title: str
    description: str
    queries: Mapping[str, str]
    unit: str = "short"
    """A unit of Grafana: `s`, `ops`, `percentunit`, `bytes`."""
    kind: str = "timeseries"
    width: int = 8
    least: float | None = 0.0
    """Where the axis begins; None for values below 0."""
    exemplars: bool = False
    """Whether the points lead to traces."""


def quantiles(metric: str, by: str = "") -> dict[str, str]:
    """The queries of the median and the 99th percentile of a histogram."""
    group, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    return {
        f"p{percent}{legend}": f"histogram_quantile(0.{percent}, sum by ({group}) (rate({metric}_bucket{RATE})))"
        for percent in (50, 99)
    }


def dashboard(uid: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]]) -> dict[str, Any]:
    """A dashboard whose rows contain panels from the left to the right."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, contents in rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        x, y = 0, y + 1
        for panel in contents:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(_panel(len(panels) + 1, panel, x, y))
            x += panel.width
        y += HEIGHT
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["event-trio"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(id: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"h": HEIGHT, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "exemplar": panel.exemplars,
            }
            for number, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    return {"unit": panel.unit} | ({} if panel.least is None else {"min": panel.least})


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
