"""Starts programs as forks of a process that has imported their libraries: `python -m tests.support.fork_server`.

A service imports its libraries in half a second of processor time, which is most of its start, and a command in a fifth
of a second. Here only libraries are imported before the fork: the project's own modules are imported by each process,
with its own environment, arguments and output. Each service has a reaper of its own, which is a fork too, and is the
parent as in production; a command has a parent that waits for it.
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
from typing import Any, NoReturn

from tools.embedded import reaper

OF_SERVICES = (
    *("fastapi", "fastapi.openapi.docs", "uvicorn", "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.dialects.postgresql.asyncpg", "sqlmodel", "asyncpg"),
    *("aioboto3", "aiobotocore.httpsession", "botocore.configprovider", "botocore.parsers", "aiohttp", "httpx"),
    *("pydantic_settings", "prometheus_client", "prometheus_client.parser", "structlog"),
    *("uuid_utils.compat", "jinja2", "aiosmtplib", "pydantic.v1"),
)
OF_COMMANDS = ("httpx", "typer", "typer.rich_utils", "rich.table", "rich.live")
LIBRARIES = {"services": OF_SERVICES, "commands": OF_COMMANDS}
ROOM = 1 << 20
"""Bytes of the longest request."""
INHERITED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""A signal that a process ignores, as one in the background does, is ignored by the processes that it starts."""
STATUS = 3
"""The file descriptor to which the parent of a program writes its exit status."""
PROJECT = ("tests", "tools")


@dataclass(frozen=True)
class Supervision:
    """How a service is stopped."""

    stop_signal: int
    grace_seconds: float
    remove: Sequence[str]


@dataclass(frozen=True)
class Request:
    """A program to start, a command if it has no supervision."""

    module: str
    environment: Mapping[str, str]
    folder: str
    command: Sequence[str]
    """The command that starts the same in a new interpreter."""
    ignored: Sequence[int]
    """Which of the inherited signals the client ignores now."""
    arguments: Sequence[str] = ()
    supervision: Supervision | None = None

    @classmethod
    def parse(cls, data: bytes) -> Request:
        """Read the request of a client."""
        given = json.loads(data)
        supervision = given.pop("supervision", None)
        return cls(**given, supervision=Supervision(**supervision) if supervision else None)


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
    """Start what is requested until the other end is closed; returns in a program, which then runs its module."""
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
            data, received, _, _ = socket.recv_fds(control, ROOM, 4)
            if not data:
                sys.exit()
            request = Request.parse(data)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for number, descriptor in enumerate(received):
                    os.dup2(descriptor, number)
                os.closerange(STATUS + 1, os.sysconf("SC_OPEN_MAX"))
                os.chdir(request.folder)
                _inherit(request.ignored)
                return _reap(request, request.supervision) if request.supervision else _wait(request)
            for descriptor in received:
                os.close(descriptor)
            control.send(str(pid).encode())


def _inherit(ignored: Sequence[int]) -> None:
    """Ignore what the client ignores now: it may have been another signal when this process began."""
    for number in INHERITED:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _collect() -> None:
    """Take the statuses of the parents that have ended, so that no zombies stay."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _reap(request: Request, supervision: Supervision) -> Request:
    """Be the reaper of a service; returns only in the service."""
    os.setsid()
    stop_signal = signal.Signals(supervision.stop_signal)
    try:
        ended = reaper.reap(
            lambda: _fork(stop_signal), request.module, stop_signal, supervision.grace_seconds, supervision.remove
        )
    except RunService:
        return request
    return _leave(ended)


def _wait(request: Request) -> Request:
    """Be the parent of a command, without its files; returns only in the command."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(STATUS)
        return request
    for descriptor in range(STATUS):
        os.close(descriptor)
    return _leave(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _leave(status: int) -> NoReturn:
    os.write(STATUS, str(status).encode())
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
    """Run the module: its exceptions, exit status and last clean-up are those of the interpreter."""
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:] = ["-c", *request.arguments]
    sys.orig_argv[:] = request.command
    for name in list(sys.modules):
        if name.partition(".")[0] in PROJECT:
            del sys.modules[name]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    return


def _main() -> None:
    descriptor, kind = int(sys.argv[1]), sys.argv[2]
    for name in LIBRARIES[kind]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    request: Any = serve(socket.socket(fileno=descriptor))
    run(request)


if __name__ == "__main__":
    _main()
