"""Starts services as forks of a process that has imported their libraries: `python -m tests.support.fork_server FD`.

A service imports its libraries in half a second of processor time, which is most of its start. Here only libraries are
imported before the fork: the project's own modules are imported by each process, with its own environment, arguments
and output. Each service has a reaper of its own, which is a fork too, and is the parent as in production.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.embedded import reaper

LIBRARIES = (
    *("fastapi", "fastapi.openapi.docs", "uvicorn", "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.dialects.postgresql.asyncpg", "sqlmodel", "asyncpg"),
    *("aioboto3", "aiobotocore.httpsession", "botocore.configprovider", "botocore.parsers", "aiohttp", "httpx"),
    *("pydantic_settings", "prometheus_client", "prometheus_client.parser", "structlog"),
    *("uuid_utils.compat", "jinja2", "aiosmtplib", "pydantic.v1"),
)
ROOM = 1 << 20
"""Bytes of the longest request."""
STATUS = 3
"""The file descriptor to which a reaper writes the exit status of its service."""
PROJECT = ("tests", "tools")


@dataclass(frozen=True)
class Request:
    """A service to start."""

    module: str
    environment: Mapping[str, str]
    folder: str
    stop_signal: int
    grace_seconds: float
    remove: Sequence[str]


class RunService(BaseException):
    """Leaves the reaper's code in the fork that is the service; not an error, so nothing else may catch it."""


@dataclass
class ForkedCommand:
    """A fork, with what `subprocess.Popen` offers."""

    pid: int
    returncode: int = 0

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if not ended:
            return None
        self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def serve(control: socket.socket) -> Request:
    """Start what is requested until the other end is closed; returns in a service, which then runs its module."""
    wake, wake_writer = os.pipe()
    for end in (wake, wake_writer):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    while True:
        watched: list[socket.socket | int] = [control, wake]
        readable = select.select(watched, [], [])[0]
        if wake in readable:
            os.read(wake, 512)
            _collect()
        if control in readable:
            data, received, _, _ = socket.recv_fds(control, ROOM, 3)
            if not data:
                sys.exit()
            request = Request(**json.loads(data))
            pid = os.fork()
            if pid == 0:
                return _reap(request, received)
            for descriptor in received:
                os.close(descriptor)
            control.send(str(pid).encode())


def _collect() -> None:
    """Take the statuses of the reapers that have ended, so that no zombies stay."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _reap(request: Request, received: Sequence[int]) -> Request:
    """Be the reaper of a service; returns only in the service."""
    signal.set_wakeup_fd(-1)
    os.setsid()
    stdin, log, status = received
    for descriptor, number in ((stdin, 0), (log, 1), (log, 2), (status, STATUS)):
        os.dup2(descriptor, number)
    os.closerange(STATUS + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir(request.folder)
    stop_signal = signal.Signals(request.stop_signal)
    try:
        ended = reaper.reap(
            lambda: _fork(stop_signal), request.module, stop_signal, request.grace_seconds, request.remove
        )
    except RunService:
        return request
    os.write(STATUS, str(ended).encode())
    os._exit(0)


def _fork(stop_signal: signal.Signals) -> ForkedCommand:
    """Fork the service, in its own session, without the handlers and files of its reaper."""
    pid = os.fork()
    if pid:
        return ForkedCommand(pid)
    signal.set_wakeup_fd(-1)
    for number in reaper.HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.closerange(STATUS, os.sysconf("SC_OPEN_MAX"))
    reaper.die_with_reaper(stop_signal)()
    raise RunService


def run(request: Request) -> None:
    """Be `python -m module`: its exceptions, exit status and last clean-up are those of the interpreter."""
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:] = [""]
    sys.orig_argv[:] = [sys.executable, "-m", request.module]
    for name in list(sys.modules):
        if name.partition(".")[0] in PROJECT:
            del sys.modules[name]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    return


def _main() -> None:
    descriptor = int(sys.argv[1])
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    request: Any = serve(socket.socket(fileno=descriptor))
    run(request)


if __name__ == "__main__":
    _main()
