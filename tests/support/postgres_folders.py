"""Where the data of a test's Postgres is: in memory if there is room, and gone at the end."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 * 1024**3
IN_MEMORY = {"max_wal_size": "128MB"}
"""Settings of a server whose data is in memory: its log takes memory too."""


def memory() -> Path | None:
    """The file system in memory if it has room: a database of a test costs a fifth of the processor time there."""
    try:
        return MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None
    except OSError:
        return None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the data of a server that the test starts again, removed at the end.

    It is not pytest's `tmp_path`, which only its owner may enter: as root, Postgres runs as another user, and the
    server would use a folder elsewhere, which nobody removes.
    """
    with TemporaryDirectory(prefix="event-trio-test-", dir=memory()) as name:
        Path(name).chmod(0o755)
        yield Path(name)
