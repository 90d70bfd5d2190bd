"""The sources of an earlier revision, which run beside the present ones."""

from __future__ import annotations

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from tests.faults.registry import FaultSkipped
from tests.support.processes import ROOT

REVISION = "44d00b8"
"""The last revision whose tables and broker are those of this one, so that both can run at the same time."""


def sources(folder: Path) -> Path:
    """A folder with `services` and `shared` of the revision in $PREVIOUS, by default REVISION. Raises FaultSkipped."""
    revision = os.environ.get("PREVIOUS") or REVISION
    found = folder / f"previous-{revision}"
    if found.exists():
        return found
    done = subprocess.run(
        ["git", "archive", revision, "services", "shared"], cwd=ROOT, capture_output=True, check=False
    )  # fmt: skip
    if done.returncode != 0:
        raise FaultSkipped(f"the revision {revision} is not in this clone: PREVIOUS=<revision> names another")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(found, filter="data")
    return found
