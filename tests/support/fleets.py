"""Relays as processes that can be killed, suspended and stopped."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.process_table import children
from tests.support.processes import child, wait_until_alive
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess


@dataclass
class FleetRelay:
    """A relay process; `pid` is its own, not that of its reaper."""

    process: ChildProcess
    port: int
    stopped: bool = False

    @property
    def pid(self) -> int:
        return children(self.process.reaper_pid)[0]

    def signal(self, number: signal.Signals) -> None:
        """Send the relay a signal."""
        os.kill(self.pid, number)
        self.stopped = number is signal.SIGSTOP


class Fleet:
    """Starts relays with one environment and stops them all at the end."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._started = 0
        self.relays: list[FleetRelay] = []

    async def start(self, count: int = 1) -> list[FleetRelay]:
        """Start relays and wait until they answer."""
        made = []
        for _ in range(count):
            self._started += 1
            port = free_port()
            process = child(
                "services.relay.main",
                {**self._environment, "HTTP_PORT": str(port)},
                self._folder / f"relay-{self._started}",
            )
            process.start()
            made.append(FleetRelay(process, port))
        self.relays += made
        for relay in made:
            async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{relay.port}", timeout=5.0) as api:
                await wait_until_alive(relay.process, api)
        return made

    async def remove(self, relay: FleetRelay, number: signal.Signals) -> int:
        """End a relay by a signal; returns its exit status."""
        if relay.stopped:
            relay.signal(signal.SIGCONT)
        relay.signal(number)
        return await self.gone(relay)

    async def gone(self, relay: FleetRelay) -> int:
        """Wait until a relay has ended; returns its exit status."""
        self.relays.remove(relay)
        status = await relay.process.wait(30.0)
        await relay.process.stop()  # ends the reaper
        return status

    async def close(self) -> None:
        """Stop what still runs."""
        for relay in self.relays:
            if relay.stopped:
                relay.signal(signal.SIGCONT)
            await relay.process.stop()
