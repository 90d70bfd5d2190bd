"""A child process on a reaper: own session, own environment, output to a file, gone when its parent is gone."""

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

from tools.embedded.errors import EmbeddedServerFailed

REAPER = Path(__file__).with_name("reaper.py")
POLL_SECONDS = 0.01
LONGEST_LINE = 800


@dataclass(frozen=True)
class Command:
    """What to run and how to stop it."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    remove: Sequence[Path] = ()
    """Folders that the reaper removes when the command has ended, whatever became of the parent."""


class ChildProcess:
    """One run of a command. Not tied to an event loop: it may be started in one and stopped in another."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._reaper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = self.command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        options = ["--signal", command.stop_signal.name.removeprefix("SIG"), "--grace", str(command.grace_seconds)]
        options += ["--user", command.user] if command.user else []
        options += [part for folder in command.remove for part in ("--remove", str(folder))]
        with command.log.open("wb") as log:
            self._reaper = subprocess.Popen(
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
        """Exit status, or None while it runs."""
        return self._running().poll()

    @property
    def reaper_pid(self) -> int:
        return self._running().pid

    async def wait(self, timeout: float) -> int:
        """Wait for the command to end by itself.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while (status := self.status) is None:  # noqa: ASYNC110 - a process tells no event loop
                await asyncio.sleep(POLL_SECONDS)
        return status

    async def stop(self) -> int | None:
        """Ask the command to stop, wait, and kill it after its grace period. Harmless when it is not running."""
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
        """The end of the log, indented, for a message."""
        try:
            lines = self.command.log.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            lines = []
        return "\n".join(f"    {_shortened(line)}" for line in lines) or "    (the log is empty)"

    def failure(self, what: str, advice: str = "") -> EmbeddedServerFailed:
        """An error with the end of the log in it."""
        return EmbeddedServerFailed(
            f"{self.command.name} {what}. {advice}\nThe end of {self.command.log}:\n{self.last_lines()}"
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._reaper is None:
            raise EmbeddedServerFailed(f"{self.command.name} was not started.")
        return self._reaper


def _shortened(line: str) -> str:
    """Both ends of a long line: a logged traceback says at its end what happened."""
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 4]} ... {line[-LONGEST_LINE * 3 // 4 :]}"


def base_environment() -> dict[str, str]:
    """What every child needs of ours, and nothing else: settings must not leak from the terminal into a server."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if os.environ.get(name)}
    # In whatever encoding the terminal is: names of customers are in none but this.
    found["PYTHONUTF8"] = "1"
    if os.environ.get("TMPDIR"):
        found["TMPDIR"] = tempfile.gettempdir()  # the one that is named may not be there
    return found
