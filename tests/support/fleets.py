"""Relays as processes that can be killed, stopped in mid-call and asked to leave, as often as one likes."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.process_table import children
from tests.support.processes import child
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess

START_SECONDS = 60.0


@dataclass
class FleetRelay:
    """One relay process; `pid` is its own, not that of the reaper that holds it."""

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
            await self._answers(relay)
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
        await relay.process.stop()  # lets go of the reaper
        return status

    async def close(self) -> None:
        """Stop what still runs."""
        for relay in self.relays:
            if relay.stopped:
                relay.signal(signal.SIGCONT)
            await relay.process.stop()

    @staticmethod
    async def _answers(relay: FleetRelay) -> None:
        async with httpx.AsyncClient(timeout=5.0) as http:

            async def alive() -> bool:
                if relay.process.status is not None:
                    raise relay.process.failure("ended before it answered")
                try:
                    return (await http.get(f"http://{LOOPBACK}:{relay.port}/livez")).is_success
                except httpx.TransportError:
                    return False

            await eventually(alive, timeout=START_SECONDS)
