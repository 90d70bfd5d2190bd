"""Owners and modes below a Postgres data folder, put back to what the server insists on; nothing need be deleted."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from tools.embedded.errors import EmbeddedServerFailed

# Postgres starts with one of these and no other (its own mode stands first).
MODES = (0o700, 0o750)


def mend(data: Path, user: str | None) -> str | None:
    """Give everything below back to whoever runs the server, and make it usable; a sentence if something changed.

    Raises:
        EmbeddedServerFailed: it belongs to somebody else, or its file system keeps no modes.
    """
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    before = stat.S_IMODE(data.stat().st_mode)
    mended = _mend_one(data, data, owner, user)
    if not (data / "PG_VERSION").exists():
        return None  # nobody's data folder, or one that is only being made
    inside = [path for path in _everything(data) if _mend_one(path, data, owner, user)]
    if not mended and not inside:
        return None
    now = stat.S_IMODE(data.stat().st_mode)
    if now not in MODES:
        raise EmbeddedServerFailed(
            f"{data} has mode {now:04o} and cannot be given 0700, which Postgres insists on: its file system keeps no "
            "modes. Work in a folder on another one, or name one (python -m tools.demo.main --folder ...)."
        )
    what = f"mode {before:04o} instead of 0700" if before not in MODES else "owners or modes inside that were changed"
    return f"{data} had {what}, which Postgres refuses: mended, with all data kept."


def _everything(folder: Path) -> Iterator[Path]:
    """The folder and what is below, each before what is in it: a closed folder is opened before it is looked into."""
    yield folder
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _everything(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _mend_one(path: Path, data: Path, owner: int, user: str | None) -> bool:
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
            f"{path} belongs to another user, so Postgres cannot use {data}: give it back "
            f"(sudo chown -R {owner} {data}); no data is lost."
        ) from None
