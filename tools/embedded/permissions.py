"""Repairs the owners and modes in a Postgres data folder, so that the server accepts it and no data is lost."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from tools.embedded.errors import EmbeddedServerFailed

# The modes that Postgres accepts; the first is its own.
MODES = (0o700, 0o750)


def repair(data: Path, user: str | None) -> str | None:
    """Give all files to the user who runs the server, with usable modes; returns a message if something changed.

    Raises EmbeddedServerFailed when they belong to another user, or when the file system does not store modes.
    """
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    before = stat.S_IMODE(data.stat().st_mode)
    repaired = _repair_one(data, data, owner, user)
    if not (data / "PG_VERSION").exists():
        return None  # not a data folder, or not created yet
    inside = [path for path in _everything(data) if _repair_one(path, data, owner, user)]
    if not repaired and not inside:
        return None
    now = stat.S_IMODE(data.stat().st_mode)
    if now not in MODES:
        raise EmbeddedServerFailed(
            f"{data} has mode {now:04o}, and Postgres requires 0700, which its file system does not store. Use a "
            "folder on another file system (python -m tools.demo.main --folder ...)."
        )
    what = f"mode {before:04o} instead of 0700" if before not in MODES else "files with changed owners or modes"
    return f"{data} had {what}, which Postgres refuses: repaired, with all data kept."


def _everything(folder: Path) -> Iterator[Path]:
    """The folder and everything in it; a folder comes before its content, so that it is opened before it is read."""
    yield folder
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _everything(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _repair_one(path: Path, data: Path, owner: int, user: str | None) -> bool:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    wanted = mode | (0o700 if path.is_dir() else 0o600)
    if path == data and mode not in MODES:
        wanted = MODES[0]
    if found.st_uid != owner:
        _give(path, data, owner, user)
    if wanted != mode:
        path.chmod(wanted)
    return wanted != mode or found.st_uid != owner


def _give(path: Path, data: Path, owner: int, user: str | None) -> None:
    try:
        os.chown(path, owner, pwd.getpwnam(user).pw_gid if user else -1)
    except PermissionError:
        raise EmbeddedServerFailed(
            f"{path} belongs to another user, so Postgres cannot use {data}: change the owner "
            f"(sudo chown -R {owner} {data}); no data is lost."
        ) from None
