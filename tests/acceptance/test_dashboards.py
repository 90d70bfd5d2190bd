"""Every query of every dashboard finds data in a Prometheus that scrapes the running services, and no alert fires."""

import json
from typing import Any

from event_trio.observability.tracing import Traceparent
from tests.support.mail import mail_server
from tests.support.observed_system import observed_system
from tests.support.otlp import otlp_receiver
from tests.support.prometheus import Prometheus, needs_prometheus, prometheus
from tests.support.trio import SystemEnvironment, Trio
from tests.support.waiting import eventually
from tools.dashboards.main import FOLDER

# For the window of a rate, which Grafana chooses. Several scrapes fit into it.
WINDOW = "[1m]"


def queries() -> dict[str, str]:
    """The queries of all dashboards, by dashboard, panel and legend."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.json")):
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for panel in document["panels"]:
            for target in panel.get("targets", []):
                name = f"{path.stem}: {panel['title']}: {target['legendFormat']}"
                found[name] = target["expr"].replace("[$__rate_interval]", WINDOW)
    return found


@needs_prometheus
async def test_every_panel_shows_data(ground: SystemEnvironment) -> None:
    with mail_server() as mail, otlp_receiver() as receiver:
        async with observed_system(ground, mail, receiver) as running:
            targets = {
                name: str(process.api.base_url).removeprefix("http://").rstrip("/")
                for name, process in running.processes.items()
            }
            async with prometheus(ground.folder / "prometheus", targets) as server:
                await _all_panels(server, running.services)
                await _exemplars_lead_to_traces(server)
                assert await server.query('ALERTS{alertstate="firing"}') == []


async def _all_panels(server: Prometheus, services: Trio) -> None:
    missing = queries()

    async def all_found() -> bool:
        # Rates need events between two scrapes.
        services.order.headers["traceparent"] = str(Traceparent.new())
        order_id = await services.place()
        await services.wait_until_handled(order_id, 1)
        for name, query in list(missing.items()):
            if any(sample["value"][1] != "NaN" for sample in await server.query(query)):
                del missing[name]
        assert missing == {}
        return True

    await eventually(all_found, timeout=60)


async def _exemplars_lead_to_traces(server: Prometheus) -> None:
    """Histograms of what happens to an event have exemplars."""

    async def are_there() -> bool:
        names_of = "consumer_delivery_latency|http_server_request_duration|outbox_end_to_end|outbox_sent_to_published"
        query = f'{{__name__=~"({names_of})_seconds_bucket"}}'
        found = await server.get("/api/v1/query_exemplars", query=query, start="0", end="9999999999")
        names = {series["seriesLabels"]["__name__"] for series in found if series["exemplars"]}
        assert len(names) == 4, names
        return True

    await eventually(are_there, timeout=30)
