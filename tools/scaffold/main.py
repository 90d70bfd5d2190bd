"""Generates a new service: `make new-service NAME=billing EVENTS=order.placed [PUBLISHES=billing.charged]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from event_trio.errors import EventTrioError
from tools.scaffold.plan import plan
from tools.scaffold.writing import write

ROOT = Path(__file__).parents[2]


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0, 1 after an error, or 2 after a usage error."""
    parser = argparse.ArgumentParser(prog="python -m tools.scaffold.main", description=__doc__)
    parser.add_argument("name", help="name of the service: lowercase letters and digits")
    parser.add_argument("--events", default="", help="event types that it processes, comma-separated")
    parser.add_argument("--publishes", default="", help="event types that it publishes, comma-separated")
    options = parser.parse_args(arguments)
    try:
        found = plan(ROOT, options.name, _parts(options.events), _parts(options.publishes))
        written = write(ROOT, found)
    except EventTrioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path.relative_to(ROOT))
    # In another process, because this one has imported the project without the new service.
    if subprocess.run([sys.executable, "-m", "tools.reference.main"], cwd=ROOT, check=False).returncode != 0:
        print("error: the reference pages could not be generated; run make reference", file=sys.stderr)
        return 1
    print(f"next: make check; make test-integration ARGS='-k {found.name}'; make demo (starts it with the others)")
    return 0


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    raise SystemExit(run())
