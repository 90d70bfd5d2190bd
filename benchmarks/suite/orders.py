"""The order endpoint against the same endpoint without the outbox: processor time, rate, round trips."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.load import customer
from benchmarks.suite.processes import service
from benchmarks.suite.results import Goal, LatencyFound, NumberFound, RatioFound, Section
from benchmarks.suite.round_trips import counted_round_trips

ORDER, WITHOUT = "order service", "without outbox"
MODULES = {ORDER: "services.order.main", WITHOUT: "benchmarks.bare.orders"}
IN_FLIGHT = 8
WARM_UP = 0.2
COUNTED = 20


class OrderRuns:
    """One run of each candidate, with a fresh database and a fresh process."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self.latencies: dict[str, list[float]] = {ORDER: [], WITHOUT: []}

    async def order(self) -> Measures:
        """The service as it is."""
        return await self._run(ORDER)

    async def without(self) -> Measures:
        """The same endpoint, recording no event."""
        return await self._run(WITHOUT)

    async def _run(self, name: str) -> Measures:
        requests = self._bench.sizes.requests
        async with (
            databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url,
            service(MODULES[name], environment(url), self._folder) as measured,
            customer(measured.url, connections=IN_FLIGHT) as orders,
        ):
            await orders.closed_loop(max(5, round(requests * WARM_UP)), IN_FLIGHT)
            cpu = measured.cpu_seconds()
            placed = await orders.closed_loop(requests, IN_FLIGHT)
            cpu = measured.cpu_seconds() - cpu
        self.latencies[name] += [(each.answered_at - each.intended_at) * 1000 for each in placed]
        seconds = max(each.answered_at for each in placed) - min(each.intended_at for each in placed)
        return {"orders/s": requests / seconds, "CPU ms": cpu / requests * 1000}

    async def round_trips(self) -> tuple[float, float]:
        """Round trips to Postgres for an order, without and with an Idempotency-Key."""
        async with (
            databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url,
            counted_round_trips(urlsplit(url).port or 5432) as counted,
            service(MODULES[ORDER], environment(counted.url(url)), self._folder) as measured,
            customer(measured.url, connections=1) as orders,
        ):
            found = []
            for key in (False, True):
                await orders.place(key=key)
                counted.round_trips.clear()
                for _ in range(COUNTED):
                    await orders.place(key=key)
                # The API's connections have the most; the notifier's and the watch's are not the endpoint's.
                found.append(max(counted.round_trips.values()) / COUNTED)
        return found[0], found[1]


def environment(url: str) -> dict[str, str]:
    """The settings of an order service that only serves its API."""
    return {"DATABASE_URL": databases.as_role(url, "order_api"), "CONSUMING": "false", "LOG_FORMAT": "json"}


async def measure(bench: Bench) -> Section:
    """The order endpoint over the same without the outbox."""
    sizes, runs = bench.sizes, OrderRuns(bench, bench.folder)
    candidates = {ORDER: runs.order, WITHOUT: runs.without}
    series = await interleaved(
        "orders", candidates, rounds=sizes.rounds, most_seconds=sizes.most_seconds, show="orders/s"
    )
    plain, with_key = await runs.round_trips()
    section = Section("Order endpoint")
    section.conditions += [
        f"{sizes.requests} orders of two lines in a run, {IN_FLIGHT} at a time in a closed loop, after "
        f"{WARM_UP:.0%} more that are not measured; the service writes its log to a file.",
        "The comparison is the same service whose outbox writer builds each event and inserts nothing.",
        f"Round trips are counted by a proxy over {COUNTED} orders, one at a time, on the API's connections.",
    ]
    section.ratios += [
        RatioFound(
            "order CPU / without outbox",
            series.ratio((ORDER, "CPU ms"), (WITHOUT, "CPU ms")),
            series.null(ORDER, "CPU ms"),
            Goal(1.1),
        ),
        RatioFound(
            "order rate / without outbox",
            series.ratio((ORDER, "orders/s"), (WITHOUT, "orders/s")),
            series.null(ORDER, "orders/s"),
        ),
    ]
    section.numbers += [
        NumberFound("order CPU", "ms/order", series.values(ORDER, "CPU ms")),
        NumberFound("order CPU without outbox", "ms/order", series.values(WITHOUT, "CPU ms")),
        NumberFound("orders", "1/s", series.values(ORDER, "orders/s")),
        NumberFound("round trips", "1/order", [plain], Goal(1)),
        NumberFound("round trips with a key", "1/order", [with_key], Goal(1)),
    ]
    section.latencies += [
        LatencyFound(f"POST, {IN_FLIGHT} at a time", runs.latencies[ORDER], plot="orders"),
        LatencyFound(f"POST, {IN_FLIGHT} at a time, without outbox", runs.latencies[WITHOUT], plot="orders"),
    ]
    return section
