"""Runs a command that must not outlive its parent, even when the parent is killed.

The parent holds the other end of this program's standard input and never writes to it. When that end closes, because
the parent stops the command or has ended, the process group of the command receives the stop signal and, after the
grace period, SIGKILL. The program imports nothing of the project (`python -I -S reaper.py`), so it starts in
milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # that of `typing`, whose import would take as long as all the others
if TYPE_CHECKING:
    from typing import Protocol

    class Child(Protocol):
        """What `subprocess.Popen` has of a running command."""

        pid: int
        returncode: int

        def poll(self) -> int | None: ...


PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    options = _options()
    return reap(lambda: _start(options), options.command[0], options.signal, options.grace, options.remove)


def reap(
    start: Callable[[], Child], name: str, stop_signal: signal.Signals, grace: float, remove: Sequence[str]
) -> int:
    """Start a command, supervise it, and end its process group with it; returns the exit status."""
    wake, wake_writer = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    for number in HANDLED:
        signal.signal(number, _ignore)  # a handler, because the command would inherit SIG_IGN
    try:
        child = start()
    except OSError as error:
        print(f"cannot start {name}: {error}", file=sys.stderr)
        return CANNOT_EXECUTE
    try:
        return _supervise(child, wake, stop_signal, grace)
    finally:
        _signal_group(child.pid, signal.SIGKILL)
        for folder in remove:
            shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signal", type=lambda name: signal.Signals["SIG" + name], default=signal.SIGTERM)
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between the stop signal and SIGKILL")
    parser.add_argument("--user", help="run the command as this user (needs root)")
    parser.add_argument("--remove", action="append", default=[], help="a folder to remove when the command has ended")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _start(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    account = pwd.getpwnam(options.user) if options.user else None
    return subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=die_with_reaper(options.signal) if sys.platform == "linux" else None,
    )


def die_with_reaper(number: signal.Signals) -> Callable[[], None]:
    """On Linux, the command also receives the stop signal when the reaper itself is killed."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, int(number))


def _supervise(child: Child, wake: int, stop_signal: signal.Signals, grace: float) -> int:
    watched = [sys.stdin.fileno(), wake]
    deadline: float | None = None
    while child.poll() is None:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable = select.select(watched, [], [], timeout)[0]
        stop = False
        if wake in readable:
            stop = any(number != signal.SIGCHLD for number in os.read(wake, 512))
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 512):
            watched.remove(sys.stdin.fileno())
            stop = True
        if stop and deadline is None:
            deadline = time.monotonic() + grace
            _signal_group(child.pid, stop_signal)
        elif deadline is not None and time.monotonic() >= deadline:
            _signal_group(child.pid, signal.SIGKILL)
            deadline = time.monotonic() + grace
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _signal_group(leader: int, number: signal.Signals) -> None:
    # macOS raises PermissionError for a group that consists of zombies only.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _ignore(_number: int, _frame: object) -> None:
    """The number of the signal is in the wake-up pipe."""


if __name__ == "__main__":
    sys.exit(main())
