"""Programs as forks of a process that has imported their libraries: their start takes a third of the processor time.

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
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, BinaryIO

from tests.support.fork_server import INHERITED
from tests.support.sources import ROOT
from tools.embedded.process import ChildProcess, Reaper, base_environment

AVAILABLE = sys.platform == "linux" and os.environ.get("TEST_FORK") != "0"
"""Whether programs are forked; TEST_FORK=0 starts a new interpreter for each."""
READ_EARLY = (
    *("PYTHON", "LC_", "LANG", "TZ", "LD_", "SSL_CERT_", "AIOHTTP_", "PROMETHEUS_", "PYDANTIC_", "OTEL_PYTHON_"),
    *("TERMINAL_WIDTH", "FORCE_", "COLOR_", "NO_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TYPER_", "_TYPER_"),
)
"""The beginnings of the variables that the interpreter or a library reads before the program's own code runs."""
ISOLATED = (sys.executable, "-I", "-X", "utf8", "-c")
"""How `event-trio` starts Python."""
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


class ForkedChild(ChildProcess):
    """One run of `python -m module` in a fork."""

    def _start_reaper(self, log: BinaryIO) -> Reaper:
        _, _, module = self.command.arguments
        stdin, stdin_writer = os.pipe()
        try:
            pid, status = _server("services").start(
                (stdin, log.fileno(), log.fileno()),
                module=module,
                environment=dict(self.command.environment),
                folder=str(self.command.folder or os.getcwd()),
                command=list(self.command.arguments),
                supervision={
                    "stop_signal": int(self.command.stop_signal),
                    "grace_seconds": self.command.grace_seconds,
                    "remove": [str(folder) for folder in self.command.remove],
                },
            )
        finally:
            os.close(stdin)
        return ForkedReaper(pid, os.fdopen(stdin_writer, "wb"), status)


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


def run_command(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], folder: str, stdin: bytes
) -> tuple[int, bytes, bytes]:
    """Run a command of an isolated interpreter to its end; returns its status, output and error output."""
    ends = [os.pipe() for _ in range(3)]
    (given, giving), (out, out_writer), (err, err_writer) = ends
    try:
        _, status = _server("commands").start(
            (given, out_writer, err_writer),
            module=module,
            environment=dict(environment),
            folder=folder,
            command=[*ISOLATED, RUN.format(module=module), str(ROOT), *arguments],
            arguments=list(arguments),
        )
    finally:
        for descriptor in (given, out_writer, err_writer):
            os.close(descriptor)
    with os.fdopen(giving, "wb") as to_command, contextlib.suppress(BrokenPipeError):
        to_command.write(stdin)
    os.set_blocking(status, True)
    with ThreadPoolExecutor(3) as readers:
        ended, printed, failed = readers.map(_read_all, (status, out, err))
    return int(ended), printed, failed


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


class ForkServer:
    """A process that forks, of an interpreter with these options."""

    def __init__(self, kind: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [*options, str(other.fileno()), kind],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        self._turn = threading.Lock()

    def start(
        self, streams: tuple[int, int, int], *, environment: dict[str, str], **request: object
    ) -> tuple[int, int]:
        """Start a program; returns the process id of its parent, and the file descriptor of its exit status."""
        names = environment.keys() | self._environment.keys()
        different = {name for name in names if environment.get(name) != self._environment.get(name)}
        early = sorted(name for name in different if name.startswith(READ_EARLY))
        assert not early, f"{', '.join(early)}: read at the start of an interpreter, so start a new one"
        ignored = [number for number in INHERITED if signal.getsignal(number) is signal.SIG_IGN]
        message = json.dumps({**request, "environment": environment, "ignored": ignored}).encode()
        status, status_writer = os.pipe()
        os.set_blocking(status, False)
        try:
            with self._turn:
                socket.send_fds(self._control, [message], [*streams, status_writer])
                answer = self._control.recv(16)
            assert answer, f"the fork server ended with status {self._process.wait(10.0)}"
            pid = int(answer)
        finally:
            os.close(status_writer)
        return pid, status

    def close(self) -> None:
        """End the process; the programs end on their own."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)
        self._process.kill()
        self._process.wait()


_running: dict[str, ForkServer] = {}
_starting = threading.Lock()


def _server(kind: str) -> ForkServer:
    with _starting:
        if kind not in _running:
            module = "tests.support.fork_server"
            isolated = [*ISOLATED, RUN.format(module=module), str(ROOT)]
            options = isolated if kind == "commands" else [sys.executable, "-m", module]
            environment = command_environment() if kind == "commands" else base_environment()
            _running[kind] = ForkServer(kind, options, environment)
        return _running[kind]


def command_environment() -> dict[str, str]:
    """What commands get of this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EVENT_TRIO_")}


def close() -> None:
    """End the fork servers that were started."""
    while _running:
        _running.popitem()[1].close()
