"""The dashboard of the processes."""

from __future__ import annotations

from typing import Any

from tools.dashboards.panels import RATE, Panel, dashboard, quantiles

REQUESTS = "http_server_request_duration_seconds"
BY_ROUTE = "http_request_method, http_route, http_response_status_code"
ROUTE = "{{http_request_method}} {{http_route}} {{http_response_status_code}}"


def render() -> dict[str, Any]:
    """The processes themselves."""
    return dashboard(
        "event-trio-processes",
        "Processes",
        "Requests, loops, connections, clocks, memory, tasks and CPU of each process.",
        {
            "Requests": [
                Panel(
                    "Requests",
                    "By route and status.",
                    {ROUTE: f"sum by ({BY_ROUTE}) (rate({REQUESTS}_count{RATE}))"},
                    "ops",
                    width=12,
                ),
                Panel("Duration", "By route.", quantiles(REQUESTS, "http_route"), "s", width=12, exemplars=True),
            ],
            "Loops and connections": [
                Panel(
                    "Loops", "1 while the loop runs.", {"{{job}} {{loop}}": "min by (job, loop) (service_loop_running)"}
                ),
                Panel(
                    "Failures of loops",
                    "Failures after which a loop is restarted.",
                    {"{{job}} {{loop}}": f"sum by (job, loop) (rate(service_loop_failures_total{RATE}))"},
                    "ops",
                ),
                Panel(
                    "Connections to the database",
                    "Used connections, and the most of each pool.",
                    {
                        "{{job}} {{pool}}": 'sum by (job, pool) (database_pool_connections{state="used"})',
                        "limit {{job}} {{pool}}": "sum by (job, pool) (database_pool_connections_limit)",
                    },
                ),
            ],
            "Resources": [
                Panel(
                    "Clock of the database",
                    "How far it is ahead of the clock of the process.",
                    {"{{job}}": "database_clock_offset_seconds"},
                    "s",
                    least=None,
                ),
                Panel("Memory", "Resident memory.", {"{{job}} {{instance}}": "process_resident_memory_bytes"}, "bytes"),
                Panel(
                    "Tasks", "Tasks of asyncio that have not ended.", {"{{job}} {{instance}}": "service_asyncio_tasks"}
                ),
                Panel(
                    "CPU",
                    "Share of one core.",
                    {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{RATE})"},
                    "percentunit",
                ),
            ],
        },
    )
