"""The data folder of a Postgres server: opened, created as a whole, and deleted."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.embedded import installation
from tools.embedded.errors import EmbeddedServerFailed


@dataclass(frozen=True)
class DataFolder:
    """The folder with the data and the logs of a server. Methods may raise OSError."""

    path: Path

    @classmethod
    def open(cls, path: Path | None, user: str | None, temporary: Path | None = None) -> Self:
        """Create the folder so that `user`, who runs the server, can use it.

        Without a path it is a temporary folder, in `temporary` if that is given.
        """
        path = path or Path(tempfile.mkdtemp(prefix="event-trio-postgres-data-", dir=temporary))
        if user and not installation.reachable_by_everyone(path.parent):
            digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
            path = Path(tempfile.gettempdir()) / f"event-trio-{digest}"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user:
            shutil.chown(path, user)
        mode = path.stat().st_mode
        if mode & 0o700 != 0o700:
            path.chmod(mode | 0o700)
        return cls(path)

    @property
    def data(self) -> Path:
        """The folder that the server uses."""
        return self.path / "data"

    @property
    def unfinished(self) -> Path:
        """Where the data is created until it is complete."""
        return self.path / "data.unfinished"

    @property
    def _deleted(self) -> Path:
        return self.path / "data.deleted"

    def remove_remains(self) -> None:
        """Remove what an interrupted creation or deletion left."""
        for path in (self.unfinished, self._deleted):
            shutil.rmtree(path, ignore_errors=True)

    def delete_data(self) -> None:
        """Delete the data. It is renamed first, because a partly deleted data folder would be unusable."""
        if (self.data / "PG_VERSION").exists():
            self.data.rename(self._deleted)
            shutil.rmtree(self._deleted)

    def has_data(self, version: str) -> bool:
        """Whether there is data of this major version.

        Raises EmbeddedServerFailed when it is of another version, or when the folder contains something else.
        """
        if (self.data / "PG_VERSION").exists():
            found, wanted = (self.data / "PG_VERSION").read_text().strip(), version.split(".")[0]
            if found == wanted:
                return True
            raise EmbeddedServerFailed(
                f"{self.data} was created by Postgres {found}, and this is {wanted}: remove it (rm -rf {self.data}) "
                "to start with an empty database, or set POSTGRES_BIN to the other version."
            )
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedServerFailed(
                f"{self.data} is not a Postgres data folder: move its contents elsewhere, or remove it "
                f"(rm -rf {self.data})."
            )
        return False

    def finish(self) -> None:
        """Put the created data in its place."""
        if self.data.exists():
            self.data.rmdir()
        self.unfinished.rename(self.data)
