"""LocalStack's index of the services of AWS, kept between starts.

LocalStack builds the index from all service models of botocore, which takes half of the processor time of a start, and
stores it in its cache. The name of the file has the versions of LocalStack and botocore, so that no start reads the
index of another installation.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = "service-catalog-*.dill"
CACHE = Path("var", "lib", "localstack", "cache")
"""LocalStack's cache, below FILESYSTEM_ROOT."""


def restore(kept: Path, root: Path) -> None:
    """Give the LocalStack below `root`, not started yet, the index that an earlier one built. Raises OSError."""
    for path in kept.glob(NAMES):
        (root / CACHE).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / CACHE / path.name)


def keep(root: Path, kept: Path) -> None:
    """Keep the index that the LocalStack below `root` built, if the installation can be written to."""
    for path in (root / CACHE).glob(NAMES):
        if (kept / path.name).exists():
            continue
        unfinished = kept / f"{path.name}.{os.getpid()}"
        try:
            kept.mkdir(exist_ok=True)
            shutil.copyfile(path, unfinished)
            unfinished.replace(kept / path.name)  # another process may read it at this moment
        except OSError:
            unfinished.unlink(missing_ok=True)
