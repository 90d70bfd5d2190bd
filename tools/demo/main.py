"""Runs the whole system on this machine and shows its events: `make demo`, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
from rich.console import Console

from event_trio.errors import EventTrioError
from tools import declared_services
from tools.demo.display import Display
from tools.demo.errors import DemoFailed, NotificationsMissing
from tools.demo.ports import Ports
from tools.demo.scenario import ORDERS, Scenario
from tools.demo.system import System, run_system, run_together

FOLDER = Path(__file__).parents[2] / ".run"
INTERRUPTED = 130
T = TypeVar("T")


@dataclass(frozen=True)
class DemoOptions:
    """How the demo runs."""

    exit: bool
    """Whether it ends after the scenario instead of running until Ctrl-C."""
    keep: bool
    """Whether it keeps the data of the previous run."""
    restart: bool
    """Whether processes that end after the scenario are restarted; otherwise the demo ends with the first."""
    orders: int
    folder: Path


def main() -> int:
    """The command. Its status is 0, 1 after a failure, or 130 when `--exit` was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo.main", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="exit after the scenario; status 0 if all were notified")
    parser.add_argument("--keep", action="store_true", help="keep the data of the previous run")
    parser.add_argument("--restart", action="store_true", help="restart processes that end after the scenario")
    parser.add_argument(
        "--orders", type=int, default=ORDERS, help="number of orders to measure the latency with (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the data and the logs")
    given = parser.parse_args()
    options = DemoOptions(
        exit=given.exit,
        keep=given.keep,
        restart=given.restart,
        orders=max(1, given.orders),
        folder=given.folder.resolve(),
    )
    display = Display(Console(highlight=False))
    try:
        return asyncio.run(_run_until_interrupted(display, options))
    except EventTrioError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


async def _run_until_interrupted(display: Display, options: DemoOptions) -> int:
    """Stop the demo in order on SIGINT or SIGTERM."""
    running_demo = asyncio.ensure_future(demo(display, options))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:  # a second Ctrl-C must not interrupt the shutdown
            interrupted = True
            running_demo.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    with display.live():
        try:
            return await running_demo
        except asyncio.CancelledError:
            # Ctrl-C is the normal end, unless the demo was to exit by itself.
            return INTERRUPTED if options.exit else 0


async def demo(display: Display, options: DemoOptions) -> int:
    """Start the system, run the scenario, and follow new orders unless `options.exit`; returns the exit status.

    Raises EventTrioError when the system cannot be started, or when a process ends.
    """
    services = declared_services.load()
    ports = Ports.from_environment(services)
    started = time.monotonic()
    display.line(f"The console: {ports.console.url}", "bold")
    display.title("Starting the system" + (" with the data of the previous run" if options.keep else ""))
    async with (
        run_system(options.folder, services, ports, display.step, keep=options.keep) as system,
        AsyncExitStack() as clients,
    ):
        orders, notifications = [
            await clients.enter_async_context(httpx.AsyncClient(base_url=port.url, trust_env=False, timeout=15.0))
            for port in (ports.services["order"], ports.services["notification"])
        ]
        scenario = Scenario(orders, notifications, display, count=options.orders)
        status = await _while_running(system, _run_scenario(scenario, display, options))
        _show_addresses(display, ports, [service.database for service in services], options.folder)
        display.line(f"  {time.monotonic() - started:.1f} s since the start", "dim")
        if not options.exit:
            await _follow_new_orders(system, scenario, display, options)
        return status


async def _run_scenario(scenario: Scenario, display: Display, options: DemoOptions) -> int:
    try:
        await scenario.show_lifecycles()
        await scenario.measure_latency()
        await scenario.ensure_all_notified()
    except NotificationsMissing as error:
        if options.exit:
            raise
        display.line(f"{error} See the logs.", "red")
        return 1
    return 0


def _show_addresses(display: Display, ports: Ports, databases: Sequence[str], folder: Path) -> None:
    display.title("Addresses")
    width = max(len(port.purpose) for port in ports.programs) + 4
    display.line(f"  {ports.console.purpose:<{width}}{ports.console.url}")
    for port in ports.programs:
        display.line(f"  {port.purpose:<{width}}{port.url}/docs")
    metrics = " ".join(f"{port.url}/metrics" for port in ports.programs)
    display.line(f"  {'metrics':<{width}}{metrics}")
    first, *others = databases
    also = f" (and {', '.join(f'/{name}' for name in others)})" if others else ""
    display.line(f"  {'Postgres':<{width}}postgresql://postgres@127.0.0.1:{ports.postgres.number}/{first}{also}")
    display.line(f"  {'LocalStack':<{width}}{ports.localstack.url}")
    display.line(f"  {'logs':<{width}}{folder}/logs")


async def _follow_new_orders(system: System, scenario: Scenario, display: Display, options: DemoOptions) -> None:
    """Never returns."""
    display.title("Place your own orders to see their events here; press Ctrl-C to stop")
    if options.restart:
        display.line("  Processes that you kill are restarted.")
    display.journey_heading()
    if options.restart:
        await run_together(system.restart_ended(display.line), scenario.follow_new_orders(tolerate_outages=True))
    await _while_running(system, scenario.follow_new_orders())


async def _while_running(system: System, work: Coroutine[object, object, T]) -> T:
    """Do the work while every process runs. Raises DemoFailed, naming the first process that ends."""
    watching = asyncio.create_task(system.watch())
    working = asyncio.create_task(work)
    try:
        await asyncio.wait([watching, working], return_when=asyncio.FIRST_COMPLETED)
        if working.done() and isinstance(working.exception(), httpx.TransportError):
            # The call failed probably because the process ended, which is the better explanation.
            await asyncio.wait([watching], timeout=2.0)
        if watching.done():
            watching.result()
        return working.result()
    except httpx.HTTPError as error:
        raise DemoFailed(f"A request to a service failed: {error}. See the logs.") from error
    finally:
        for task in (watching, working):
            task.cancel()
        await asyncio.gather(watching, working, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
