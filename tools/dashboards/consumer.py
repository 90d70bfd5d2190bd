"""The dashboard of the consumers."""

from __future__ import annotations

from typing import Any

from tools.dashboards.panels import RATE, Panel, dashboard, quantiles

EVENTS = "consumer_events_total"
REPEATED = 'outcome=~"duplicate|.*stale"'


def render() -> dict[str, Any]:
    """How the consumers handle events."""
    outcomes = f"rate(consumer_events_total{RATE})"
    return dashboard(
        "event-trio-consumer",
        "Consumers",
        "How consumers handle events, and what they could not handle.",
        {
            "Handling": [
                Panel(
                    "Outcomes",
                    "Deliveries by type and outcome.",
                    {"{{type}} {{outcome}}": f"sum by (type, outcome) ({outcomes})"},
                    "ops",
                    width=12,
                ),
                Panel(
                    "Duration of an attempt",
                    "Inbox and commit included.",
                    quantiles("messaging_process_duration_seconds", "type"),
                    "s",
                    width=12,
                ),
                Panel(
                    "Messages in memory", "By state.", {"{{job}} {{state}}": "sum by (job, state) (consumer_messages)"}
                ),
                Panel(
                    "Retries",
                    "Attempts after which the event runs again.",
                    {"{{type}}": f'sum by (type) (rate({EVENTS}{{outcome="retry_scheduled"}}{RATE})) or vector(0)'},
                    "ops",
                ),
                Panel(
                    "Duplicates and stale events",
                    "Events that had been processed before, and events out of order.",
                    {"{{outcome}}": f"sum by (outcome) (rate({EVENTS}{{{REPEATED}}}{RATE})) or vector(0)"},
                    "ops",
                ),
            ],
            "Not handled": [
                Panel(
                    "Deferred messages and dead letters",
                    "By status.",
                    {"{{job}} {{status}}": "max by (job, status) (consumer_deferred_messages)"},
                ),
                Panel(
                    "Oldest, by status",
                    "Age of the oldest message of each status.",
                    {"{{job}} {{status}}": "max by (job, status) (consumer_deferred_oldest_seconds)"},
                    "s",
                ),
                Panel(
                    "New dead letters",
                    "By reason.",
                    {"{{reason}}": f"sum by (reason) (rate(consumer_dead_letters_total{RATE})) or vector(0)"},
                    "ops",
                ),
            ],
            "Dependencies": [
                Panel(
                    "Circuit breakers",
                    "0 closed, 1 half-open, 2 open.",
                    {"{{job}} {{circuit}}": "consumer_circuit_state", "sender": "notification_sender_circuit_state"},
                ),
                Panel("Queue", "1 while the queue can be read.", {"{{job}}": "consumer_receiving"}),
                Panel(
                    "Failed calls",
                    "Failed calls to the queue.",
                    {"{{call}}": f"sum by (call) (rate(consumer_failed_calls_total{RATE})) or vector(0)"},
                    "ops",
                ),
            ],
        },
    )
