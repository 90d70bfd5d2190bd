"""The folder of a suite: used by one run at a time, and never emptied of what others put there."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.results import FILE

MARK = ".made-by-make-faults"
MADE = ("servers", "system*", "run-*", FILE, "soak-*.svg")
"""What the suites write into their folder."""


class FolderNotUsable(Exception):
    """The folder cannot be used; the message says why, and what to do."""


@contextmanager
def suite_folder(folder: Path, *, keep: bool) -> Iterator[None]:
    """Use the folder alone; without `keep`, what an earlier run left there is deleted. Raises FolderNotUsable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = any((folder / name).exists() for name in (MARK, FILE))
        if not ours and any(folder.iterdir()):
            raise FolderNotUsable(f"{folder} is not empty, and no suite made it: choose another with --folder")
        mark = (folder / MARK).open("w")
    except OSError as error:
        raise FolderNotUsable(f"{folder} cannot be used: {error.strerror}. Choose another with --folder.") from error
    with mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderNotUsable(f"{folder} is used by another run: choose another with --folder") from None
        if not keep:
            for pattern in MADE:
                for path in folder.glob(pattern):
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        yield
