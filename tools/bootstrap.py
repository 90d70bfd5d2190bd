"""Make the virtual environments from the hash-pinned locks; needs nothing but Python itself.

Run by the machine's own `python3` before anything is installed, so it uses the standard library alone, and syntax that
an old Python can at least read, in order to say that it is too old.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
OLDEST_UV = (0, 5)
TOOLS = ROOT / ".tools"
STAMP = "lock.stamp"
# A proxy, an index, certificates and caches are the user's to choose; where things go and what is taken is not.
OURS = (
    ("PYTHON", "VIRTUAL_ENV", "CONDA_"),
    ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_SRC", "PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_REQUIRE"),
    ("PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_PYTHON", "PIP_BREAK_SYSTEM", "PIP_IGNORE_INSTALLED"),
    ("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON", "UV_BREAK_SYSTEM", "UV_TARGET"),
    ("UV_PROJECT", "UV_WORKING", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_ENV_FILE"),
    ("UV_NO_BINARY", "UV_NO_BUILD", "UV_REQUIRE_HASHES", "UV_NO_VERIFY_HASHES", "UV_VENV", "UV_NO_SYNC", "UV_FROZEN"),
    ("UV_PREFIX", "UV_RESOLUTION", "UV_PRERELEASE", "UV_DRY_RUN", "UV_TORCH"),
)
# What is installed where.
ENVIRONMENTS = {".venv": "locks/dev.txt", ".venv-localstack": "locks/localstack.txt"}
# Which distributions of this repository an environment has besides, editable.
EDITABLE = {".venv": ("shared",)}


class BootstrapFailed(Exception):
    """The environments could not be made; the message says what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv and .venv-localstack from the hash-pinned locks.")
    parser.parse_args()
    if sys.version_info < OLDEST:
        return _continue_with_newer_python()
    try:
        bootstrap(ROOT)
    except BootstrapFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def bootstrap(root: Path) -> None:
    """Bring every environment up to date with its lock; takes milliseconds when all of them are.

    Raises BootstrapFailed: something is missing or an installation failed.
    """
    if not stale(root):
        return
    (root / ".tools").mkdir(exist_ok=True)
    with (root / ".tools" / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another bootstrap is at work; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        missing = stale(root)
        if not missing:
            return
        uv = find_uv() or _install_uv()
        for name in missing:
            _make(root, name, uv)


def stale(root: Path) -> list[str]:
    """The environments that are missing, or were not made from the lock as it is now."""
    return [name for name, lock in ENVIRONMENTS.items() if not _is_fresh(root / name, root / lock)]


def find_uv() -> str | None:
    """A working uv: the machine's own, else the one installed by us, else None."""
    for candidate in (shutil.which("uv"), str(TOOLS / "bin" / "uv")):
        if candidate and _works(candidate):
            return candidate
    return None


def _is_fresh(environment: Path, lock: Path) -> bool:
    try:
        stamp = (environment / STAMP).read_text()
    except OSError:
        return False
    # The interpreter is a link to the machine's Python, which may have been removed or replaced.
    return stamp == _digest(environment, lock) and (environment / "bin" / "python").exists()


def _digest(environment: Path, lock: Path) -> str:
    # The path is part of it: programs in an environment name it in their first line, so a moved one does not work.
    editable = "".join(sorted(EDITABLE.get(environment.name, ())))
    return hashlib.sha256(f"{environment.resolve()}\0{editable}".encode() + lock.read_bytes()).hexdigest()


def _works(uv: str) -> bool:
    # A version manager may leave a `uv` on the path that only says that none is selected.
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"(\d+)\.(\d+)", answer.stdout)
    return answer.returncode == 0 and found is not None and (int(found[1]), int(found[2])) >= OLDEST_UV


def _install_uv() -> str | None:
    """Install our own uv; None when there is none for this platform, and pip must do."""
    _require_venv()
    if not (TOOLS / "bin" / "python").exists():
        _run("making a place for uv (.tools)", [sys.executable, "-m", "venv", str(TOOLS)])
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"]
    try:
        _run("installing uv, which installs the rest", [*pip, "-r", str(ROOT / "locks/bootstrap.txt")])
    except BootstrapFailed as error:
        print(f"{error}\ngoing on with pip, which is slower", file=sys.stderr)
        return None
    return find_uv()


def _make(root: Path, name: str, uv: str | None) -> None:
    environment, lock = root / name, root / ENVIRONMENTS[name]
    python = environment / "bin" / "python"
    if not _runs(python):
        shutil.rmtree(environment, ignore_errors=True)
        if uv:
            command = [uv, "venv", "--quiet", "--python", sys.executable, str(environment)]
        else:
            _require_venv()
            command = [sys.executable, "-m", "venv", str(environment)]
        _run(f"making {name} for Python {sys.version.split()[0]}", command)
    (environment / STAMP).unlink(missing_ok=True)
    count = len(re.findall(r"^[a-z0-9].*==", lock.read_text(), re.MULTILINE))
    if uv:
        command = [uv, "pip", "sync", "--require-hashes", "--python", str(python), str(lock)]
    else:
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            str(lock),
        ]
    _run(f"installing about {count} packages into {name}", command)
    for folder in EDITABLE.get(name, ()):
        _install_editable(root / folder, python, uv)
    (environment / STAMP).write_text(_digest(environment, lock))


def _install_editable(folder: Path, python: Path, uv: str | None) -> None:
    """Install a distribution of this repository so that its files are used where they are.

    The lock has its dependencies and its build backend, so nothing else is downloaded.
    """
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", str(folder)]
    _run(f"installing {folder.name}/ as it is", [*pip, *options])


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([str(python), "-I", "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def _run(what: str, command: list[str]) -> None:
    """Run a command quietly, with the seconds ticking on a terminal.

    Raises BootstrapFailed: it failed; its output is in the message.
    """
    environment = installers_environment(os.environ)
    started = time.monotonic()
    terminal = sys.stdout.isatty()
    print(f"{what} ...", end="" if terminal else "\n", flush=True)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
    ) as process:
        output = b""
        while True:
            try:
                output = process.communicate(timeout=0.5)[0]
                break
            except subprocess.TimeoutExpired:
                if terminal:
                    print(f"\r{what} ... {time.monotonic() - started:.0f} s", end="", flush=True)
    seconds = time.monotonic() - started
    if process.returncode == 0:
        print(f"\r{what} ... {seconds:.1f} s" if terminal else f"  done in {seconds:.1f} s", flush=True)
        return
    print(flush=True)
    raise BootstrapFailed(
        f"{output.decode(errors='replace').rstrip()}\n\n"
        f"{what} failed (the output is above). Is the package index reachable, and is there space on the disk? "
        "The next run goes on from here."
    )


def installers_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What uv and pip see of ours; with caches of our own where the home is none, such as /dev/null."""
    taken = tuple(prefix for prefixes in OURS for prefix in prefixes)
    found = {name: value for name, value in given.items() if value and not name.startswith(taken)}
    found["PYTHONUTF8"] = "1"
    if not os.access(found.get("HOME") or "/", os.W_OK | os.X_OK):
        found.setdefault("UV_CACHE_DIR", str(TOOLS / "cache"))
        found.setdefault("PIP_CACHE_DIR", str(TOOLS / "cache" / "pip"))
    if not os.path.isdir(found.get("TMPDIR", "/")):
        del found["TMPDIR"]
    return found


def _require_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise BootstrapFailed(
            f"{sys.executable} cannot make virtual environments: its venv module is not installed. "
            f"On Debian and Ubuntu: sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv. "
            "Elsewhere install Python with venv, or uv, which needs neither."
        )


def _continue_with_newer_python() -> int:
    for name in NEWER_NAMES:
        found = shutil.which(name)
        # A version manager's stand-in is on the path whether or not the version is installed.
        if found and _runs(Path(found)):
            os.execv(found, [found, *sys.argv])  # noqa: S606
    print(
        f"Python {sys.version.split()[0]} is too old: this needs Python {OLDEST[0]}.{OLDEST[1]} or newer. On Debian "
        "and Ubuntu: sudo apt install python3 python3-venv; on macOS: brew install python. If it is not the "
        "first python3 on the path: make PYTHON=<its path> ...",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
