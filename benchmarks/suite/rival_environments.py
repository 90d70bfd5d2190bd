"""Virtual environments of the rivals, below an ignored folder: their requirements are none of this project's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from benchmarks.suite.processes import ROOT
from tools.bootstrap import find_uv, installers_environment

FOLDER = ROOT / ".run" / "rivals"
STAMP = "requirements.txt"
SECONDS = 300
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12")
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@dataclass(frozen=True)
class RivalPackage:
    """What to install, and the oldest Python that it supports."""

    name: str
    requirements: tuple[str, ...]
    oldest: tuple[int, int] = (3, 11)


EVENTCOMMON = RivalPackage("eventcommon", ("eventcommon==0.4.0",), oldest=(3, 12))
FASTSTREAM = RivalPackage("faststream-outbox", ("faststream-outbox[asyncpg]==0.19.0", "aioboto3==15.5.0"))


def installed(package: RivalPackage) -> str | None:
    """The interpreter of its environment, which is made if it is missing; None when it cannot be made."""
    folder = FOLDER / package.name
    python, wanted = folder / "bin" / "python", "\n".join(package.requirements)
    if python.exists() and (folder / STAMP).exists() and (folder / STAMP).read_text() == wanted:
        return str(python)
    base = next(_interpreters(package.oldest), None)
    if base is None:
        return None
    typer.echo(f"{package.name}: installing {', '.join(package.requirements)} into {folder.relative_to(ROOT)}")
    shutil.rmtree(folder, ignore_errors=True)
    uv = find_uv()
    make = [uv, "venv", "--quiet", "--python", base] if uv else [base, "-m", "venv"]
    install = (
        [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    )
    try:
        for command in ([*make, str(folder)], [*install, *package.requirements]):
            subprocess.run(  # noqa: S603 - of constants
                command,
                check=True,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                env=installers_environment(os.environ),
            )
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        typer.echo(f"{package.name}: cannot be installed: {detail.strip()[-500:]}", err=True)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    (folder / STAMP).write_text(wanted)
    return str(python)


def missing(package: RivalPackage) -> str:
    """Why it was not measured, for the page."""
    version = ".".join(map(str, package.oldest))
    return f"{package.name} was not measured: it could not be installed, or no Python {version} or newer was found."


def _interpreters(oldest: tuple[int, int]) -> Iterator[str]:
    """Interpreters that are new enough: this one, those on the path, those of pyenv."""
    found = [sys.executable, *(shutil.which(name) or "" for name in NEWER_PYTHONS)]
    found += [str(path) for name in NEWER_PYTHONS for path in sorted(PYENV.glob(f"{name[6:]}.*/bin/{name}"))]
    return (python for python in found if python and _version(python) >= oldest)


def _version(python: str) -> tuple[int, int]:
    # A version manager may have a placeholder on the path that only reports that no version is selected.
    try:
        answer = subprocess.run([python, "--version"], capture_output=True, text=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    version = re.search(r"(\d+)\.(\d+)", answer.stdout)
    return (int(version[1]), int(version[2])) if answer.returncode == 0 and version else (0, 0)
