"""The metrics reference, from the classes that declare metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from tools.reference.discovery import classes
from tools.reference.markdown import code, page, paragraph, table

INTRODUCTION = """
Every process serves its metrics at `GET /metrics` in the Prometheus text format, without authentication. Durations are
in seconds. No label contains an id or personal data. Counters are listed with their suffix `_total`; a histogram `x`
consists of `x_bucket`, `x_sum` and `x_count`. The Prometheus client adds its `process_` and `python_` metrics.
"""
SERVED_BY = {
    "HttpMetrics": "every process",
    "LoopMetrics": "every process",
    "DatabaseMetrics": "every process",
    "ConsumerMetrics": "every service that reads a queue",
    "IdempotencyMetrics": "the order service, the notification service and relays",
    "OutboxMetrics": "every service that publishes, of its own outbox",
    "RelayMetrics": "relays",
}


def render() -> str:
    """The page."""
    return page("Metrics", INTRODUCTION, *(_section(found) for found in _metrics_classes()))


def names() -> set[str]:
    """The names of all metrics, as they are served."""
    return {_shown(metric) for found in _metrics_classes() for metric in _metrics(found)}


def declared() -> list[tuple[str, str, tuple[str, ...]]]:
    """The name, type and labels of each metric, as they are served."""
    return [
        (_shown(metric), str(metric._type), tuple(metric._labelnames))
        for found in _metrics_classes()
        for metric in _metrics(found)
    ]


def _metrics_classes() -> list[type]:
    return classes(lambda found: found.__name__.endswith("Metrics"))


def _section(found: type) -> str:
    rows = [
        (code(_shown(metric)), str(metric._type), ", ".join(map(code, metric._labelnames)), metric._documentation)
        for metric in _metrics(found)
    ]
    body = table(("Name", "Type", "Labels", "Meaning"), rows)
    return f"## Served by {_served_by(found)}\n\n{paragraph(found.__doc__)}\n\n{body}"


def _served_by(found: type) -> str:
    if found.__name__ in SERVED_BY:
        return SERVED_BY[found.__name__]
    package, _, rest = found.__module__.partition(".")
    return f"the {rest.partition('.')[0]} service" if package == "services" else f"users of `{found.__module__}`"


def _metrics(found: type) -> list[MetricWrapperBase]:
    declared = vars(found(CollectorRegistry())).values()
    return [metric for metric in declared if isinstance(metric, MetricWrapperBase)]


def _shown(metric: MetricWrapperBase) -> str:
    # The client has no public access to the name and labels of a metric without a value.
    return f"{metric._name}_total" if metric._type == "counter" else metric._name
