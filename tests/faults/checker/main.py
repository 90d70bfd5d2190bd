"""Checks the recorded histories of one run: `python -m tests.faults.checker.main FOLDER`.

The exit status is 0 when every promise was kept, 1 when one was broken, and 2 when the histories cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.faults.checker.histories import History, InvalidHistory, read
from tests.faults.checker.rules import check

SHOWN = 20


def main() -> int:
    """Print what was checked and each violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker.main", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder with the histories of one run")
    folder = parser.parse_args().folder
    try:
        history = read(folder)
    except InvalidHistory as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(history))
    violations = check(history)
    for violation in violations[:SHOWN]:
        print(violation)
    if len(violations) > SHOWN:
        print(f"and {len(violations) - SHOWN} more")
    return 1 if violations else 0


def summary(history: History) -> str:
    """What the history contains, in one line."""
    outcomes = Counter(operation.outcome for operation in history.operations)
    stale = sum(effect.stale for effect in history.effects)
    return (
        f"{outcomes['ok']} requests succeeded, {outcomes['fail']} failed, {outcomes['info']} have an unknown outcome; "
        f"{len(history.committed)} events committed, {len(history.accepted)} accepted by the broker, "
        f"{len(history.effects)} effects ({stale} late), {len(history.unresolved)} unresolved"
    )


if __name__ == "__main__":
    sys.exit(main())
