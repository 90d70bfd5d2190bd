"""What the imports of a service cost, by package."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter

from benchmarks.suite.processes import ROOT

TIMED = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)")
"""A line of `python -X importtime`: the microseconds of the module itself, and its package."""


async def import_milliseconds(module: str) -> Counter[str]:
    """Milliseconds by package, each without what it imports. Measuring them adds to the time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "importtime",
        "-c",
        f"import {module}",
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{module} cannot be imported")
    found = Counter[str]()
    for line in output.decode().splitlines():
        if timed := TIMED.match(line):
            found[timed[2]] += int(timed[1])
    return Counter({package: round(microseconds / 1000) for package, microseconds in found.items()})
