"""Installs LocalEmu, an emulator of AWS that enforces IAM policies, into .venv-localemu: `make test-roles`.

It needs Python 3.12 or 3.13, which may be another than that of the project. The exit status is 3 without one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT = {".venv-localemu": "locks/localemu.txt"}
FITTING = ((3, 13), (3, 12))
NOTHING_FITS = 3


def main() -> int:
    """Continue with a Python that fits, and install."""
    if sys.version_info[:2] not in FITTING:
        found = next((each for each in candidates() if fits(each)), None)
        if found is None:
            print("skipped: LocalEmu needs Python 3.13 or 3.12 as python3.13 or python3.12", file=sys.stderr)
            return NOTHING_FITS
        os.execv(found, [found, "-I", __file__])  # noqa: S606
    sys.path.insert(0, str(Path(__file__).parent))
    import bootstrap  # type: ignore[import-not-found, unused-ignore]

    try:
        bootstrap.bootstrap(bootstrap.ROOT, ENVIRONMENT)
    except bootstrap.BootstrapFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def candidates() -> Iterator[str]:
    """Pythons of these versions: on the path, and those of pyenv."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for major, minor in FITTING:
        if found := shutil.which(f"python{major}.{minor}"):
            yield found
        yield from sorted(map(str, versions.glob(f"{major}.{minor}.*/bin/python")), reverse=True)


def fits(python: str) -> bool:
    """Whether it runs: a version manager has a placeholder on the path even if the version is not installed."""
    try:
        return subprocess.run([python, "-I", "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
