"""A small file system for a database, which can be filled."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.faults.registry import FaultSkipped
from tools.embedded import installation

CHUNK = bytes(64 * 1024)


@dataclass
class SmallDisk:
    """A mounted file system: Postgres may use `tables`, and `fill` takes the rest."""

    folder: Path

    @classmethod
    def mount(cls, megabytes: int) -> Self:
        """Mount it. Raises FaultSkipped where this process may not."""
        folder = Path(tempfile.mkdtemp(prefix="event-trio-small-disk-"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            reason = done.stderr.strip() if done.returncode else ""
        except OSError as error:
            reason = str(error)
        if reason:
            folder.rmdir()
            raise FaultSkipped(f"a small file system cannot be mounted: {reason}")
        disk = cls(folder)
        disk.tables.mkdir(mode=0o700)
        if user := installation.find().user:
            shutil.chown(disk.tables, user)
        return disk

    @property
    def tables(self) -> Path:
        """The folder for a tablespace."""
        return self.folder / "tables"

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no free byte."""
        with self._ballast.open("ab", buffering=0) as file:
            chunk = CHUNK
            while chunk:
                try:
                    file.write(chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    chunk = chunk[: len(chunk) // 16]

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Remove it, even if a file is still open."""
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)
        os.rmdir(self.folder)
