"""Writes the hash-pinned locks from their inputs: `make lock`, or `make lock UPGRADE=1` for newer versions."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import OLDEST, find_uv

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "shared/pyproject.toml"
# What is installed where: the library's extras, and groups of the workspace's own pyproject.toml. The distributions of
# this repository are in no lock; they are installed from their folders.
RELAY = ("outbox", "broker", "http", "observability", "tracing")
EXTRAS = {
    "service": ("outbox", "consumer", "http", "observability", "tracing", "migrations"),
    "notification": ("outbox", "consumer", "http", "observability", "tracing", "migrations"),
    "relay": RELAY,
    # The same with the client of another broker.
    "relay-nats": (*RELAY, "nats"),
    "relay-rabbitmq": (*RELAY, "rabbitmq"),
    "console": ("http", "observability", "tracing"),
    "topology": ("outbox", "broker", "settings"),
}
"""The extras of the library that each image uses. A service without a lock of its own has that of `service`."""
GROUPS = {
    "service": ("service",),
    "notification": ("notification",),
    "console": ("console",),
    "topology": ("topology",),
    "relay": ("wal",),
    "relay-nats": ("wal",),
    "relay-rabbitmq": ("wal",),
}


def image_inputs(image: str) -> list[str]:
    """The inputs of an image's lock: no other versions than those that the tests run with."""
    extras = [option for extra in EXTRAS[image] for option in ("--extra", extra)]
    groups = [option for group in GROUPS.get(image, ()) for option in ("--group", f"pyproject.toml:{group}")]
    return [LIBRARY, *extras, *groups, "--constraint", "locks/dev.txt"]


LOCKS = {
    "locks/bootstrap.txt": ["locks/bootstrap.in"],
    "locks/dev.txt": [LIBRARY, "--all-extras", "--group", "pyproject.toml:dev"],
    "locks/build.txt": ["--group", "pyproject.toml:build", "--constraint", "locks/dev.txt"],
    **{f"locks/{image}.txt": image_inputs(image) for image in EXTRAS},
    "locks/localstack.txt": ["locks/localstack.in"],
    "locks/localemu.txt": ["locks/localemu.in"],
}
ONE_PYTHON = {"locks/localemu.txt": "3.13"}
# No header and no index address: a lock must read the same wherever it was made.
OPTIONS = ["--generate-hashes", "--no-header", "--no-emit-index-url", "--quiet"]


def pythons(lock: str) -> list[str]:
    """The Pythons that a lock is for: from the oldest on, or one, where no versions fit all of them."""
    if only := ONE_PYTHON.get(lock):
        return ["--python-version", only]
    return ["--universal", "--python-version", ".".join(map(str, OLDEST))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.locks", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="use newer versions where the inputs allow them")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    uv = find_uv()
    if uv is None:
        print("uv is not available; create the locks on a platform that has it.", file=sys.stderr)
        return 1
    for lock, inputs in LOCKS.items():
        print(f"{lock} ...", flush=True)
        status = subprocess.run(
            [uv, "pip", "compile", *OPTIONS, *pythons(lock), *upgrade, *inputs, "-o", lock], cwd=ROOT
        )
        if status.returncode != 0:
            return status.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
