"""The order endpoint against the reference revision, and against itself without the outbox: costs and round trips."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.load import Customer, customer
from benchmarks.suite.processes import ROOT, Measured, service
from benchmarks.suite.reference import MISSING, REVISION
from benchmarks.suite.results import LatencyFound, NumberFound, RatioFound, Section
from benchmarks.suite.round_trips import CountedServer, counted_server
from event_trio.envelope import uuid7

ORDER, REFERENCE, WITHOUT = "order service", "reference order service", "without outbox"
MODULES = {ORDER: "services.order.main", REFERENCE: "services.order.main", WITHOUT: "benchmarks.bare.orders"}
IN_FLIGHT = 8
WARM_UP = 0.5
COUNTED = 20


@dataclass(frozen=True)
class RunningService:
    """An order service that waits for requests, and a client of it."""

    process: Measured
    orders: Customer


class OrderRuns:
    """Runs of each candidate. The services keep running and have nothing to do meanwhile."""

    def __init__(self, requests: int, running: dict[str, RunningService]) -> None:
        self._requests = requests
        self._running = running
        self.latencies: dict[str, list[float]] = {name: [] for name in running}

    async def warm_up(self) -> None:
        """Let each place some orders."""
        for running in self._running.values():
            await running.orders.closed_loop(max(5, round(self._requests * WARM_UP)), IN_FLIGHT)

    async def run(self, name: str) -> Measures:
        """So many orders in a closed loop."""
        running = self._running[name]
        cpu = running.process.cpu_seconds()
        placed = await running.orders.closed_loop(self._requests, IN_FLIGHT)
        cpu = running.process.cpu_seconds() - cpu
        self.latencies[name] += [(each.answered_at - each.intended_at) * 1000 for each in placed]
        seconds = max(each.answered_at for each in placed) - min(each.intended_at for each in placed)
        return {"orders/s": self._requests / seconds, "CPU ms": cpu / self._requests * 1000}


def environment(url: str) -> dict[str, str]:
    """The settings of an order service that only serves its API."""
    return {"DATABASE_URL": databases.as_role(url, "order_api"), "CONSUMING": "false", "LOG_FORMAT": "json"}


async def measure(bench: Bench) -> Section:
    """The order endpoint over the reference revision's, and over the same without the outbox."""
    sizes, section = bench.sizes, Section("Order endpoint")
    reference = await bench.reference()
    if reference is None:
        section.notes.append(MISSING)
    async with _services(bench, reference) as runs:
        await runs.warm_up()
        series = await interleaved(
            "orders",
            {name: partial(runs.run, name) for name in runs.latencies},
            rounds=sizes.rounds,
            most_seconds=sizes.most_seconds,
            show="CPU ms",
        )
    plain, with_key, repeated = await _round_trips(bench)
    section.conditions += [
        f"{sizes.requests} orders of two lines in a run, {IN_FLIGHT} at a time in a closed loop, after a warm-up of "
        f"{WARM_UP:.0%} of them; the services write their logs to files and keep running between the runs.",
        "`without outbox` is the same service whose events are built and not inserted.",
        f"The reference is the order service of revision {REVISION}.",
        f"Round trips are counted by a proxy over {COUNTED} orders, one at a time, on the API's connections.",
    ]
    over = [
        ("order CPU / without outbox", "CPU ms", WITHOUT, "post-bare"),
        ("order rate / without outbox", "orders/s", WITHOUT, ""),
    ]
    if reference:
        over += [
            ("order CPU / reference", "CPU ms", REFERENCE, "post-reference"),
            ("order rate / reference", "orders/s", REFERENCE, ""),
        ]
    for name, measure_name, other, goal in over:
        ratio = series.ratio((ORDER, measure_name), (other, measure_name))
        section.ratios.append(RatioFound(name, ratio, series.null(ORDER, measure_name), goal))
    section.numbers += [
        *(NumberFound(f"{name} CPU", "ms/order", series.values(name, "CPU ms")) for name in runs.latencies),
        NumberFound("orders", "1/s", series.values(ORDER, "orders/s")),
        NumberFound("round trips", "1/order", [plain], "post"),
        NumberFound("round trips with a key", "1/order", [with_key], "post-key"),
        NumberFound("round trips with a repeated key", "1/order", [repeated], "post-repeated"),
    ]
    section.latencies += [
        LatencyFound(f"POST, {IN_FLIGHT} at a time, {name}", found, plot="orders")
        for name, found in runs.latencies.items()
    ]
    return section


@asynccontextmanager
async def _services(bench: Bench, reference: Path | None) -> AsyncIterator[OrderRuns]:
    async with AsyncExitStack() as stack:
        running = {}
        for name, source in ((ORDER, ROOT), (WITHOUT, ROOT), (REFERENCE, reference)):
            if source is not None:
                seed = await bench.seed("order", source=source)
                url = await stack.enter_async_context(databases.copied(bench.admin_url, seed))
                started = service(MODULES[name], environment(url), bench.folder, name=name, source=source)
                process = await stack.enter_async_context(started)
                orders = await stack.enter_async_context(customer(process.url, connections=IN_FLIGHT))
                running[name] = RunningService(process, orders)
        yield OrderRuns(bench.sizes.requests, running)


async def _round_trips(bench: Bench) -> tuple[float, float, float]:
    """Round trips of an order: without an Idempotency-Key, with one, and with one that was used before."""
    async with (
        databases.copied(bench.admin_url, await bench.seed("order")) as url,
        counted_server(urlsplit(url).port or 5432) as counted,
        service(MODULES[ORDER], environment(counted.url(url)), bench.folder) as measured,
        customer(measured.url, connections=1) as orders,
    ):
        for _ in range(COUNTED):  # every connection of the pool is open and has prepared its statements
            await orders.place()
        keys = [str(uuid7()) for _ in range(COUNTED + 1)]
        plain = await _counted(orders, counted, [None] * (COUNTED + 1))
        return plain, await _counted(orders, counted, keys), await _counted(orders, counted, keys)


async def _counted(orders: Customer, counted: CountedServer, keys: Sequence[str | None]) -> float:
    """Round trips of an order, after the first one."""
    await orders.place(key=keys[0])
    counted.clear()
    for key in keys[1:]:
        await orders.place(key=key)
    # The API's connections have the most; the notifier's and the monitor's are not the endpoint's.
    return max(counted.round_trips.values()) / (len(keys) - 1)
