"""What the servers of the compared brokers share: data in a folder, kill -9 and a restart on the same data, memory."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from comparisons.contract import NotAvailable
from tools.embedded.ports import LOOPBACK
from tools.embedded.process import ChildProcess, Command, base_environment
from tools.embedded.server import EmbeddedServer

READY_SECONDS = 60.0
PAGE_BYTES = 4096


class BrokerServer(EmbeddedServer):
    """A broker. Every stop is a kill -9: what a broker has acknowledged must survive that, or the page says so."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._temporary = folder is None
        self.data = folder or Path(tempfile.mkdtemp(prefix="broker-"))
        """It is removed when the server leaves its context, unless it was given."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The address for clients."""

    @abstractmethod
    def version(self) -> str:
        """The version of the program. Raises NotAvailable."""

    @abstractmethod
    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command and its variables. Raises NotAvailable."""

    async def restart(self) -> None:
        """Start it again on the same port and data, after a stop."""
        await self._launch()

    def memory_bytes(self) -> int:
        """The resident memory of the server with its child processes (Linux)."""
        if self._process is None:
            return 0
        pids, total = _children(self._process.reaper_pid), 0
        while pids:
            pid = pids.pop()
            pids += _children(pid)
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
            except (OSError, IndexError):
                continue
        return total

    async def stop(self) -> None:
        """Kill it. Its data stays."""
        await super().stop()

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()
        if self._temporary:
            shutil.rmtree(self.data, ignore_errors=True)

    async def _launch(self) -> None:
        arguments, variables = self._command()
        command = Command(
            name=self.name,
            arguments=arguments,
            log=self.data / "server.log",
            environment={**base_environment(), **variables},
            folder=self.data,
            stop_signal=signal.SIGKILL,
        )
        self._process = process = ChildProcess(command)
        process.start()
        if not await self._wait_until_ready(process, self._is_ready, seconds=READY_SECONDS, poll_seconds=0.02):
            raise process.failure("did not start")

    async def _is_ready(self) -> bool:
        """Whether the port accepts connections; a subclass may ask more."""
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.close()
        return True


def program(name: str, advice: str) -> str:
    """The path of a program. Raises NotAvailable with the advice."""
    if (found := shutil.which(name)) is None:
        raise NotAvailable(f"{name} is not installed: {advice}")
    return found


def output(*command: str) -> str:
    """What a command prints, such as its version."""
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()  # noqa: S603


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
