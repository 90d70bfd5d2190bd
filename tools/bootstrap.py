"""Creates the virtual environments from the hash-pinned locks; requires only Python.

It runs with the `python3` of the machine before anything is installed, so it uses the standard library only, and syntax
that an old Python can parse, in order to report that it is too old.
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
# Users may choose the proxy, index, certificates and caches, but not the target and the packages.
REMOVED_VARIABLES = (
    ("PYTHON", "VIRTUAL_ENV", "CONDA_"),
    ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_SRC", "PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_REQUIRE"),
    ("PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_PYTHON", "PIP_BREAK_SYSTEM", "PIP_IGNORE_INSTALLED"),
    ("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON", "UV_BREAK_SYSTEM", "UV_TARGET"),
    ("UV_PROJECT", "UV_WORKING", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_ENV_FILE"),
    ("UV_NO_BINARY", "UV_NO_BUILD", "UV_REQUIRE_HASHES", "UV_NO_VERIFY_HASHES", "UV_VENV", "UV_NO_SYNC", "UV_FROZEN"),
    ("UV_PREFIX", "UV_RESOLUTION", "UV_PRERELEASE", "UV_DRY_RUN", "UV_TORCH"),
)
# The lock of each environment.
ENVIRONMENTS = {".venv": "locks/dev.txt", ".venv-localstack": "locks/localstack.txt"}
# The distributions of this repository that an environment contains, installed as editable.
EDITABLE = {".venv": ("shared",)}


class BootstrapFailed(Exception):
    """The environments could not be created; the message says what to do."""


def main() -> int:
    """The command. Its status is 0, 1 after a failure, or 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Create .venv and .venv-localstack from the hash-pinned locks.")
    parser.parse_args()
    if sys.version_info < OLDEST:
        return _continue_with_newer_python()
    try:
        bootstrap(ROOT)
    except BootstrapFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run continues", file=sys.stderr)
        return 130
    return 0


def bootstrap(root: Path, locks: Mapping[str, str] = ENVIRONMENTS) -> None:
    """Update environments to their locks; takes milliseconds when all are up to date. Raises BootstrapFailed."""
    if not stale(root, locks):
        return
    (root / ".tools").mkdir(exist_ok=True)
    with (root / ".tools" / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("waiting for another bootstrap to finish ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        missing = stale(root, locks)
        if not missing:
            return
        uv = find_uv() or _install_uv()
        for name in missing:
            _make(root, name, root / locks[name], uv)


def stale(root: Path, locks: Mapping[str, str] = ENVIRONMENTS) -> list[str]:
    """The environments that are missing or not up to date with their lock."""
    return [name for name, lock in locks.items() if not _is_fresh(root / name, root / lock)]


def find_uv() -> str | None:
    """A working uv: that of the machine, else that in .tools; None without one."""
    for candidate in (shutil.which("uv"), str(TOOLS / "bin" / "uv")):
        if candidate and _works(candidate):
            return candidate
    return None


def _is_fresh(environment: Path, lock: Path) -> bool:
    try:
        stamp = (environment / STAMP).read_text()
    except OSError:
        return False
    # The interpreter is a link to the Python of the machine, which may have been removed or replaced.
    return stamp == _digest(environment, lock) and (environment / "bin" / "python").exists()


def _digest(environment: Path, lock: Path) -> str:
    # The path is included, because programs contain it in their first line and do not work in a moved environment.
    editable = "".join(sorted(EDITABLE.get(environment.name, ())))
    return hashlib.sha256(f"{environment.resolve()}\0{editable}".encode() + lock.read_bytes()).hexdigest()


def _works(uv: str) -> bool:
    # A version manager may have a placeholder on the path that only reports that no version is selected.
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"(\d+)\.(\d+)", answer.stdout)
    return answer.returncode == 0 and found is not None and (int(found[1]), int(found[2])) >= OLDEST_UV


def _install_uv() -> str | None:
    """Install uv into .tools; None when there is none for this platform, so pip is used."""
    _require_venv()
    if not (TOOLS / "bin" / "python").exists():
        _run("creating .tools for uv", [sys.executable, "-m", "venv", str(TOOLS)])
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"]
    try:
        _run("installing uv", [*pip, "-r", str(ROOT / "locks/bootstrap.txt")])
    except BootstrapFailed as error:
        print(f"{error}\ncontinuing with pip, which is slower", file=sys.stderr)
        return None
    return find_uv()


def _make(root: Path, name: str, lock: Path, uv: str | None) -> None:
    environment = root / name
    python = environment / "bin" / "python"
    if not _runs(python):
        shutil.rmtree(environment, ignore_errors=True)
        if uv:
            command = [uv, "venv", "--quiet", "--python", sys.executable, str(environment)]
        else:
            _require_venv()
            command = [sys.executable, "-m", "venv", str(environment)]
        _run(f"creating {name} for Python {sys.version.split()[0]}", command)
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
    """Install a distribution of this repository as editable.

    The lock contains its dependencies and its build backend, so nothing else is downloaded.
    """
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", str(folder)]
    _run(f"installing {folder.name}/ as editable", [*pip, *options])


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([str(python), "-I", "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def _run(what: str, command: list[str]) -> None:
    """Run a command without its output, and show the elapsed seconds on a terminal.

    Raises BootstrapFailed, with the output, when the command fails.
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
        "The next run continues."
    )


def installers_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of uv and pip; with caches in .tools when the home folder is not writable."""
    removed = tuple(prefix for prefixes in REMOVED_VARIABLES for prefix in prefixes)
    found = {name: value for name, value in given.items() if value and not name.startswith(removed)}
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
            f"{sys.executable} cannot create virtual environments: its venv module is not installed. "
            f"On Debian and Ubuntu: sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv. "
            "Elsewhere install a Python with venv, or uv."
        )


def _continue_with_newer_python() -> int:
    for name in NEWER_NAMES:
        found = shutil.which(name)
        # A version manager has a placeholder on the path even if the version is not installed.
        if found and _runs(Path(found)):
            os.execv(found, [found, *sys.argv])  # noqa: S606
    print(
        f"Python {sys.version.split()[0]} is too old: Python {OLDEST[0]}.{OLDEST[1]} or newer is required. On Debian "
        "and Ubuntu: sudo apt install python3 python3-venv; on macOS: brew install python. If it is not the "
        "first python3 on the path: make PYTHON=<its path> ...",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
