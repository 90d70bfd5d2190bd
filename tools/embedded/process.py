"""A child process under a reaper: it has its own session and environment, and ends with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from tools.embedded.errors import EmbeddedServerFailed

REAPER = Path(__file__).with_name("reaper.py")
POLL_SECONDS = 0.01
LONGEST_LINE = 800


@dataclass(frozen=True)
class Command:
    """A command, and how it is stopped. Its output is written to `log`."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    remove: Sequence[Path] = ()
    """Folders that the reaper removes when the command has ended, even if the parent ended first."""


class Reaper(Protocol):
    """The running reaper of a command; the command is stopped when its standard input is closed."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


class ChildProcess:
    """One run of a command. It may be started in one event loop and stopped in another."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._reaper: Reaper | None = None

    def start(self) -> None:
        """Start the command."""
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        with self.command.log.open("wb") as log:
            self._reaper = self._start_reaper(log)

    def _start_reaper(self, log: BinaryIO) -> Reaper:
        """Start the command and its reaper with this output."""
        command = self.command
        options = ["--signal", command.stop_signal.name.removeprefix("SIG"), "--grace", str(command.grace_seconds)]
        options += ["--user", command.user] if command.user else []
        options += [part for folder in command.remove for part in ("--remove", str(folder))]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(REAPER), *options, "--", *command.arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(command.environment),
            cwd=command.folder,
            start_new_session=True,
        )

    @property
    def status(self) -> int | None:
        """The exit status; None while the command runs."""
        return self._running().poll()

    @property
    def reaper_pid(self) -> int:
        """The process id of the reaper, which is the parent of the command."""
        return self._running().pid

    async def wait(self, timeout: float) -> int:
        """Wait until the command ends. Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while (status := self.status) is None:  # noqa: ASYNC110 - a process cannot set an event
                await asyncio.sleep(POLL_SECONDS)
        return status

    async def stop(self) -> int | None:
        """Stop the command, and kill it after the grace period; returns the exit status. Harmless if not running."""
        if self._reaper is None:
            return None
        with contextlib.suppress(BrokenPipeError):
            if self._reaper.stdin:
                self._reaper.stdin.close()
        deadline = time.monotonic() + self.command.grace_seconds + 5.0
        while self._reaper.poll() is None:
            if time.monotonic() >= deadline:
                self._reaper.kill()
            await asyncio.sleep(POLL_SECONDS)
        return self._reaper.returncode

    def last_lines(self, count: int = 15) -> str:
        """The last lines of the log, indented."""
        try:
            lines = self.command.log.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            lines = []
        return "\n".join(f"    {_shortened(line)}" for line in lines) or "    (the log is empty)"

    def failure(self, what: str, advice: str = "") -> EmbeddedServerFailed:
        """An error that quotes the end of the log."""
        return EmbeddedServerFailed(
            f"{self.command.name} {what}. {advice}\nThe end of {self.command.log}:\n{self.last_lines()}"
        )

    def _running(self) -> Reaper:
        if self._reaper is None:
            raise EmbeddedServerFailed(f"{self.command.name} was not started.")
        return self._reaper


def _shortened(line: str) -> str:
    """The two ends of a long line; a logged traceback has the error at its end."""
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 4]} ... {line[-LONGEST_LINE * 3 // 4 :]}"


def base_environment() -> dict[str, str]:
    """The variables that every child needs; other settings of the terminal must not reach a server."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if os.environ.get(name)}
    # Names of customers need UTF-8, whatever the encoding of the terminal is.
    found["PYTHONUTF8"] = "1"
    if os.environ.get("TMPDIR"):
        found["TMPDIR"] = tempfile.gettempdir()  # the folder in the variable may not exist
    return found
