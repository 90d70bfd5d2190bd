"""The code as it was at the revision for which the goals were set, to run beside the code of today."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
from pathlib import Path

from benchmarks.suite.processes import ROOT

REVISION = "44d00b8"
MISSING = (
    f"The reference revision {REVISION} is not in this clone (a shallow one, or an exported archive): what is compared "
    "with it was not measured."
)


async def checked_out(folder: Path) -> Path | None:
    """A copy of the reference revision below `folder`; None when the clone does not contain it."""
    return await asyncio.to_thread(_check_out, folder / "reference")


def current() -> str:
    """The revision of the code of today, for the page."""
    revision = _git("describe", "--always", "--dirty", "--exclude=*")
    return revision.decode().strip() if revision else "unknown"


def _check_out(target: Path) -> Path | None:
    archive = _git("archive", "--format=tar", REVISION)
    if archive is None:
        return None
    target.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        found.extractall(target, filter="data")
    return target


def _git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
