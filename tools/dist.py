"""Build the distributions, as wheels and as source archives: `make dist`."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ("shared", "services/relay")


def main() -> int:
    """Build into dist/ and print what was made."""
    parser = argparse.ArgumentParser(prog="python -m tools.dist", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="where they go (dist/)")
    for made in build(parser.parse_args().folder):
        print(made)
    return 0


def build(folder: Path) -> list[Path]:
    """Build every project into a folder; returns the files. Raises CalledProcessError with the output of the backend.

    The backend is the one of the lock, so nothing is downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for project in PROJECTS:
        command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.resolve())]
        subprocess.run(command, cwd=ROOT / project, check=True, capture_output=True, text=True)
    return sorted(path for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz")))


if __name__ == "__main__":
    sys.exit(main())
