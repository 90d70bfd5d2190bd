"""The dashboard of the relays."""

from __future__ import annotations

from typing import Any

from tools.dashboards.panels import RATE, Panel, dashboard, quantiles

BATCH = "outbox_publish_batch_size"


def render() -> dict[str, Any]:
    """How the relays send and confirm."""
    return dashboard(
        "event-trio-relay",
        "Relays",
        "How the relays send events to the broker, and how they confirm that the events arrived.",
        {
            "Sending": [
                Panel(
                    "Events by outcome",
                    "Outcomes of events sent to the broker.",
                    {"{{outcome}}": f"sum by (outcome) (rate(outbox_events_total{RATE}))"},
                    "ops",
                ),
                Panel(
                    "Calls by outcome",
                    "PublishBatch calls.",
                    {"{{outcome}}": f"sum by (outcome) (rate(outbox_publish_calls_total{RATE}))"},
                    "ops",
                ),
                Panel(
                    "Duration of a call",
                    "PublishBatch, from the call to the answer.",
                    quantiles("messaging_client_operation_duration_seconds"),
                    "s",
                ),
                Panel(
                    "Batch fill",
                    "Entries of a call, of ten.",
                    {"mean": f"sum(rate({BATCH}_sum{RATE})) / sum(rate({BATCH}_count{RATE}))"},
                ),
                Panel(
                    "Calls in flight",
                    "Calls that have not ended, and their limit.",
                    {"{{instance}}": "outbox_calls_in_flight", "limit {{instance}}": "outbox_calls_in_flight_limit"},
                ),
                Panel(
                    "Broker",
                    "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
                    {"{{instance}}": "outbox_broker_circuit_state"},
                ),
                Panel(
                    "Messages late inside the broker",
                    "How much later than usual messages were available, and the time between calls that this causes.",
                    {
                        **quantiles("outbox_delivery_delay_seconds"),
                        "spacing {{instance}}": "outbox_call_spacing_seconds",
                    },
                    "s",
                ),
            ],
            "Confirming": [
                Panel(
                    "Confirmation lag",
                    "Age of the oldest unconfirmed event of the slowest group.",
                    {"{{job}}": "max by (job) (outbox_confirmation_lag_seconds)"},
                    "s",
                ),
                Panel(
                    "Published",
                    "Events seen on the publish check.",
                    {"{{type}}": f"sum by (type) (rate(outbox_published_total{RATE}))"},
                    "ops",
                ),
                Panel(
                    "Sent again",
                    "Events marked as unsent, by reason.",
                    {"{{reason}}": f"sum by (reason) (rate(outbox_republished_total{RATE})) or vector(0)"},
                    "ops",
                ),
            ],
            "Lanes and groups": [
                Panel(
                    "Lanes",
                    "Lanes that each relay owns; 64 in all for each outbox.",
                    {"{{instance}}": "outbox_relay_lanes_owned"},
                ),
                Panel(
                    "Groups that wait",
                    "Groups that wait for another attempt, and groups that are held.",
                    {"waiting {{instance}}": "outbox_waiting_groups", "held {{instance}}": "outbox_held_groups"},
                ),
                Panel("Reads", "Reads of the outbox.", {"{{instance}}": f"rate(outbox_reads_total{RATE})"}, "ops"),
            ],
        },
    )
