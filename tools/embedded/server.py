"""What the embedded servers share: a port on the loopback, a child process, and waiting until it is ready."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tools.embedded.ports import ensure_free, free_port
from tools.embedded.process import ChildProcess


class EmbeddedServer(ABC):
    """A server that listens on the loopback only, and ends with the process that started it.

    Its files are in `folder`; without one they are in a temporary folder, which is removed when the server ends.
    `port_variable` names the setting that changes the port, for the message when the port is in use.
    """

    name: ClassVar[str]

    def __init__(
        self, folder: Path | None = None, *, port: int | None = None, port_variable: str = "another port"
    ) -> None:
        self.port = port or 0
        self._folder = folder
        self._port_variable = port_variable
        self._process: ChildProcess | None = None

    async def start(self) -> None:
        """Start and wait until the server is ready. Raises EmbeddedServerFailed."""
        if self.port:
            ensure_free(self.port, self.name, self._port_variable)
        else:
            self.port = free_port()
        await self._launch()

    @property
    def has_ended(self) -> bool:
        """Whether the server was started and ended without being stopped."""
        return self._process is not None and self._process.status is not None

    async def stop(self) -> None:
        """Stop the server; harmless when it is not running."""
        if self._process:
            await self._process.stop()
            self._process = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    async def _launch(self) -> None:
        """Start the process and wait until it is ready. Raises EmbeddedServerFailed."""

    @staticmethod
    async def _wait_until_ready(
        process: ChildProcess, is_ready: Callable[[], Awaitable[bool]], *, seconds: float, poll_seconds: float
    ) -> bool:
        """Poll until the server is ready; False when it ended. Raises EmbeddedServerFailed after this time."""
        deadline = time.monotonic() + seconds
        while process.status is None:
            if await is_ready():
                return True
            if time.monotonic() > deadline:
                raise process.failure(f"is not ready after {seconds:.0f} s")
            await asyncio.sleep(poll_seconds)
        return False
