"""Runs the whole system here and shows it at work: `make demo`, until Ctrl-C."""

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
from tools.demo.system import System, running, together

FOLDER = Path(__file__).parents[2] / ".run"
INTERRUPTED = 130
T = TypeVar("T")


@dataclass(frozen=True)
class DemoOptions:
    """How to run."""

    leave: bool
    """End by itself, instead of staying until interrupted."""
    keep: bool
    """Go on with the data of the run before."""
    restart: bool
    """Once all is shown, start again what ends, instead of ending with it."""
    orders: int
    folder: Path


async def demo(display: Display, options: DemoOptions) -> int:
    """Start, show, and stay until interrupted unless told otherwise. Returns the exit status.

    Raises:
        EventTrioError: it could not be started, or a process ended; the message says what to do.
    """
    services = declared_services.load()
    ports = Ports.from_environment(services)
    started = time.monotonic()
    display.title("Starting" + (", with the data of the run before" if options.keep else ""))
    async with (
        running(options.folder, services, ports, display.step, keep=options.keep) as system,
        AsyncExitStack() as clients,
    ):
        orders, notifications = [
            await clients.enter_async_context(httpx.AsyncClient(base_url=port.url, trust_env=False, timeout=15.0))
            for port in (ports.services["order"], ports.services["notification"])
        ]
        scenario = Scenario(orders, notifications, display, count=options.orders)
        status = await _while_running(system, _show(scenario, display, options))
        databases = [service.database for service in services]
        _print_addresses(display, ports, databases, options.folder)
        display.line(f"  {time.monotonic() - started:.1f} s from start to here", "dim")
        if not options.leave:
            display.title("Place orders of your own and see them here; Ctrl-C stops everything")
            if options.restart:
                display.line("  Kill what you like: it is started again.")
            display.journey_heading()
            if options.restart:
                await together(system.keep_up(display.line), scenario.onwards(patiently=True))
            await _while_running(system, scenario.onwards())
        return status


async def _show(scenario: Scenario, display: Display, options: DemoOptions) -> int:
    try:
        await scenario.closely()
        await scenario.by_figures()
        await scenario.ensure_everybody_was_notified()
    except NotificationsMissing as error:
        if options.leave:
            raise
        display.line(f"{error} The logs may say why.", "red")
        return 1
    return 0


async def _while_running(system: System, work: Coroutine[object, object, T]) -> T:
    """Do the work while every process runs; the first that ends is named, rather than the call that failed for it."""
    watching = asyncio.create_task(system.watch())
    working = asyncio.create_task(work)
    try:
        await asyncio.wait([watching, working], return_when=asyncio.FIRST_COMPLETED)
        if working.done() and isinstance(working.exception(), httpx.TransportError):
            await asyncio.wait([watching], timeout=2.0)
        if watching.done():
            watching.result()
        return working.result()
    except httpx.HTTPError as error:
        raise DemoFailed(f"A service did not answer as it should: {error}. The logs may say why.") from error
    finally:
        for task in (watching, working):
            task.cancel()
        await asyncio.gather(watching, working, return_exceptions=True)


def _print_addresses(display: Display, ports: Ports, databases: Sequence[str], folder: Path) -> None:
    display.title("Look around")
    width = max(len(port.purpose) for port in ports.programs) + 4
    for port in ports.programs:
        display.line(f"  {port.purpose:<{width}}{port.url}/docs")
    first, *others = databases
    also = f" (and {', '.join(f'/{name}' for name in others)})" if others else ""
    display.line(f"  {'Postgres':<{width}}postgresql://postgres@127.0.0.1:{ports.postgres.number}/{first}{also}")
    display.line(f"  {'LocalStack':<{width}}{ports.localstack.url}")
    display.line(f"  {'logs':<{width}}{folder}/logs")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo.main", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end by itself; status 0 when every order was notified")
    parser.add_argument("--keep", action="store_true", help="go on with the data of the run before")
    parser.add_argument("--restart", action="store_true", help="once all is shown, start again what ends or is killed")
    parser.add_argument(
        "--orders", type=int, default=ORDERS, help="how many orders to take the figures from (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where data and logs go")
    given = parser.parse_args()
    options = DemoOptions(
        leave=given.exit,
        keep=given.keep,
        restart=given.restart,
        orders=max(1, given.orders),
        folder=given.folder.resolve(),
    )
    display = Display(Console(highlight=False))
    try:
        return asyncio.run(_interruptible(display, options))
    except EventTrioError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


async def _interruptible(display: Display, options: DemoOptions) -> int:
    """SIGINT and SIGTERM end the demo in order; until then it stays."""
    running_demo = asyncio.ensure_future(demo(display, options))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:  # the second Ctrl-C of an impatient hand must not cut off the stopping
            interrupted = True
            running_demo.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    with display.on():
        try:
            return await running_demo
        except asyncio.CancelledError:
            # Staying until Ctrl-C is what was asked for, unless it was to end by itself.
            return INTERRUPTED if options.leave else 0


if __name__ == "__main__":
    sys.exit(main())
