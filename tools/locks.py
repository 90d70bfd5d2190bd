"""Write the hash-pinned locks from their inputs: `make lock`, and `make lock UPGRADE=1` for newer versions."""

import argparse
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import OLDEST, find_uv

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "locks/bootstrap.txt": ["locks/bootstrap.in"],
    "locks/runtime.txt": ["pyproject.toml"],
    "locks/dev.txt": ["pyproject.toml", "--group", "dev"],
    "locks/localstack.txt": ["locks/localstack.in"],
}
# No header and no index address: a lock must read the same wherever it was made.
OPTIONS = ["--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--quiet"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.locks", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where the inputs allow them")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    uv = find_uv()
    if uv is None:
        print("There is no uv for this platform; locks are made where there is one.", file=sys.stderr)
        return 1
    python = ["--python-version", ".".join(map(str, OLDEST))]
    for lock, inputs in LOCKS.items():
        print(f"{lock} ...", flush=True)
        status = subprocess.run([uv, "pip", "compile", *OPTIONS, *python, *upgrade, *inputs, "-o", lock], cwd=ROOT)
        if status.returncode != 0:
            return status.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
