"""The dashboard of the way of events."""

from __future__ import annotations

from typing import Any

from tools.dashboards.panels import RATE, Panel, dashboard, quantiles


def render() -> dict[str, Any]:
    """From the order to the customer, and what stays on the way."""
    return dashboard(
        "event-trio-events",
        "Events",
        "How many events are recorded, published and handled, how long each leg takes, and what waits.",
        {
            "State": [
                _stat(
                    "Published late",
                    "Share of the events that are not published within 5 s.",
                    _late_published(),
                    "percentunit",
                ),
                _stat(
                    "Handled late",
                    "Share of the events that are not handled within 60 s.",
                    _late_handled(),
                    "percentunit",
                ),
                _stat(
                    "Dead letters",
                    "Events that wait for an operator.",
                    'sum(consumer_deferred_messages{status="dead"})',
                ),
                _stat(
                    "Held groups", "Message groups that wait for an operator.", "sum(max by (job) (outbox_held_groups))"
                ),
                _stat("Relays", "Relays with a valid lease, by outbox.", "min(outbox_live_relays)"),
                _stat("Processes", "Processes that answer.", "sum(up)"),
            ],
            "Flow": [
                Panel(
                    "Events",
                    "Events a second. Each is recorded and published once, and handled by every subscriber.",
                    {
                        "recorded {{type}}": f"sum by (type) (rate(order_events_recorded_total{RATE}))",
                        "published {{type}}": f"sum by (type) (rate(outbox_published_total{RATE}))",
                        "handled {{type}}": f'sum by (type) (rate(consumer_events_total{{outcome="handled"}}{RATE}))',
                    },
                    "ops",
                    width=12,
                ),
                Panel(
                    "From the event to its handling",
                    "Time from the event to the commit of its handler, by type.",
                    quantiles("consumer_delivery_latency_seconds", "type"),
                    "s",
                    width=12,
                    exemplars=True,
                ),
                Panel(
                    "Recorded to sent",
                    "Time from recording to the broker's acknowledgement.",
                    quantiles("outbox_recorded_to_sent_seconds"),
                    "s",
                ),
                Panel(
                    "Sent to published",
                    "Time from the acknowledgement to the publish check.",
                    quantiles("outbox_sent_to_published_seconds"),
                    "s",
                    exemplars=True,
                ),
                Panel(
                    "Recorded to published",
                    "Both together.",
                    quantiles("outbox_end_to_end_seconds"),
                    "s",
                    exemplars=True,
                ),
            ],
            "Waiting": [
                Panel(
                    "Outbox, by state",
                    "Events that are not published.",
                    {
                        "recorded": "max by (job) (outbox_pending_events)",
                        "sent": "max by (job) (outbox_unconfirmed_events)",
                        "held": "max by (job) (outbox_held_events)",
                    },
                ),
                Panel(
                    "Oldest event of the outbox, by state",
                    "Age of the oldest event of each state.",
                    {
                        "recorded": "max by (job) (outbox_oldest_pending_age_seconds)",
                        "sent": "max by (job) (outbox_oldest_unconfirmed_age_seconds)",
                        "held": "max by (job) (outbox_oldest_held_age_seconds)",
                    },
                    "s",
                ),
                Panel(
                    "Deferred messages and dead letters",
                    "Messages in the consumers' databases, by status.",
                    {"{{job}} {{status}}": "max by (job, status) (consumer_deferred_messages)"},
                ),
            ],
        },
    )


def _stat(title: str, description: str, expression: str, unit: str = "short") -> Panel:
    return Panel(title, description, {title: expression}, unit, "stat", 4)


def _late_published() -> str:
    return (
        f'1 - sum(rate(outbox_end_to_end_seconds_bucket{{le="5.0"}}{RATE}))'
        f" / sum(rate(outbox_end_to_end_seconds_count{RATE}))"
    )


def _late_handled() -> str:
    return (
        f'1 - sum(rate(consumer_delivery_latency_seconds_bucket{{le="60.0"}}{RATE}))'
        f" / sum(rate(consumer_delivery_latency_seconds_count{RATE}))"
    )
