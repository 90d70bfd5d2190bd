"""A program that writes how it was started, and ends as $ENDING says: for the comparison of forks with processes."""

import asyncio
import ctypes
import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
import uuid

PR_GET_PDEATHSIG = 2
PROJECT = ("event_trio", "services", "tools", "infra")
LIMITS = ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_STACK", "RLIMIT_AS")


def report() -> dict[str, object]:
    """What the interpreter and the system say about this process."""
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(death))
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return {
        "environment": dict(os.environ),
        "arguments": [sys.argv, sys.orig_argv],
        "module": [__name__, __file__, __spec__.name if __spec__ else None, sys.modules["__main__"].__file__],
        "path": sys.path,
        "folder": os.getcwd(),
        "flags": list(sys.flags),
        "streams": [(each.encoding, each.errors, each.line_buffering, each.fileno()) for each in streams],
        "locale": [locale.getlocale(), time.tzname],
        "handlers": {each.name: str(signal.getsignal(each)) for each in signal.Signals},
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        "files": {each: os.readlink(f"/proc/self/fd/{each}") for each in ("0", "1", "2")},
        "open": sorted(os.listdir("/proc/self/fd")),
        "threads": [each.name for each in threading.enumerate()],
        "loop": [str(asyncio._get_running_loop()), type(asyncio.get_event_loop_policy()).__name__],
        "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "dies_with_parent": death.value,
        "garbage": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
        "limits": [resource.getrlimit(getattr(resource, name)) for name in LIMITS],
        "priority": os.nice(0),
        "mask": os.umask(0o022),
        "log": [str(handler) for handler in logging.getLogger().handlers],
        "project": sorted(
            name for name in sys.modules if name.startswith(("event_trio", "services", "tools", "infra"))
        ),
        "differs": [os.getpid(), random.random(), str(uuid.uuid4())],
        "parent": os.getppid(),
    }


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    _write(json.dumps(report()))
    if "--read" in sys.argv:
        _write(sys.stdin.read())
        sys.stderr.write("no\n")
    ending = os.environ["ENDING"]
    if ending == "exit":
        sys.exit(7)
    if ending == "text":
        sys.exit("no")
    if ending == "raise":
        raise ValueError("no")
    if ending == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write("waiting")
    signal.pause()
    signal.pause()


if __name__ == "__main__":
    main()
