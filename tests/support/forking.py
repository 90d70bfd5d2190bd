"""Services as forks of a process that has imported their libraries: their start takes a third of the processor time.

`tests/integration/test_forked_processes.py` compares them with processes of new interpreters. Tests of what a start
does, such as settings, exit statuses and signals, start new interpreters.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import IO, BinaryIO

from tests.support.sources import ROOT
from tools.embedded.process import ChildProcess, Reaper, base_environment

AVAILABLE = sys.platform == "linux" and os.environ.get("TEST_FORK") != "0"
"""Whether services are forked; TEST_FORK=0 starts a new interpreter for each."""
READ_EARLY = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "SSL_CERT_", "AIOHTTP_", "PROMETHEUS_", "PYDANTIC_", "OTEL_PYTHON_")
"""The beginnings of the variables that the interpreter or a library reads before the service's own code runs."""


class ForkedChild(ChildProcess):
    """One run of `python -m module` in a fork."""

    def _start_reaper(self, log: BinaryIO) -> Reaper:
        _, _, module = self.command.arguments
        given = dict(self.command.environment)
        if different := {name for name in given.keys() | _base().keys() if given.get(name) != _base().get(name)}:
            early = sorted(name for name in different if name.startswith(READ_EARLY))
            assert not early, f"{', '.join(early)}: read at the start of an interpreter, so start a new one"
        return _server().start(
            log,
            module=module,
            environment=given,
            folder=str(self.command.folder or os.getcwd()),
            stop_signal=int(self.command.stop_signal),
            grace_seconds=self.command.grace_seconds,
            remove=[str(folder) for folder in self.command.remove],
        )


class ForkedReaper:
    """The reaper of a fork, with what `subprocess.Popen` offers. It is a child of the fork server."""

    def __init__(self, pid: int, stdin: IO[bytes], status: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.returncode: int | None = None
        self._status = status
        self._read = b""

    def poll(self) -> int | None:
        """The exit status of the service; None while the reaper runs, which alone holds the other end of the pipe."""
        while self.returncode is None:
            try:
                part = os.read(self._status, 16)
            except BlockingIOError:
                return None
            self._read += part
            if not part:
                os.close(self._status)
                self.returncode = int(self._read) if self._read else -signal.SIGKILL
        return self.returncode

    def kill(self) -> None:
        """Kill the reaper."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """The process that forks."""

    def __init__(self) -> None:
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(other.fileno())],
                cwd=ROOT,
                env=_base(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    def start(self, log: BinaryIO, **request: object) -> ForkedReaper:
        """Start a service; returns its reaper."""
        stdin, stdin_writer = os.pipe()
        status, status_writer = os.pipe()
        os.set_blocking(status, False)
        try:
            message = json.dumps(request).encode()
            socket.send_fds(self._control, [message], [stdin, log.fileno(), status_writer])
            pid = int(self._control.recv(16))
        finally:
            os.close(stdin)
            os.close(status_writer)
        return ForkedReaper(pid, os.fdopen(stdin_writer, "wb"), status)

    def close(self) -> None:
        """End the process; the services end on their own."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)
        self._process.kill()
        self._process.wait()


_running: list[ForkServer] = []


def _server() -> ForkServer:
    if not _running:
        _running.append(ForkServer())
    return _running[0]


def _base() -> dict[str, str]:
    return base_environment()


def close() -> None:
    """End the fork server if one was started."""
    while _running:
        _running.pop().close()
