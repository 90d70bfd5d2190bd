"""Copies the console's libraries for browsers from their npm packages, with licence and version: `make vendor`."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "services/console/static/vendor"
INDEX = "packages.json"
LICENSE = "LICENSE"


@dataclass(frozen=True)
class Package:
    """A package of the npm registry, and the files of it that the console serves."""

    name: str
    version: str
    license: str
    files: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where its files are, below the vendored ones."""
        return self.name.removesuffix(".org").lower()


PACKAGES = (
    Package("htmx.org", "2.0.11", "0BSD", ("dist/htmx.min.js",)),
    Package("htmx-ext-sse", "2.2.4", "0BSD", ("dist/sse.min.js",)),
    Package("idiomorph", "0.8.0", "0BSD", ("dist/idiomorph-ext.min.js",)),
    Package("uplot", "1.6.32", "MIT", ("dist/uPlot.iife.min.js", "dist/uPlot.min.css")),
)


def main() -> int:
    index = [_copy(package) for package in PACKAGES]
    (FOLDER / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return 0


def _copy(package: Package) -> dict[str, object]:
    """Copy the files of a package, and return its entry in the index."""
    content = _packed(package)
    folder = FOLDER / package.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        files = {}
        for name in (*package.files, LICENSE):
            text = _read(archive, name)
            path = folder / Path(name).name
            path.write_bytes(text)
            files[f"{package.folder}/{path.name}"] = hashlib.sha256(text).hexdigest()
    return {
        "name": package.name,
        "version": package.version,
        "license": package.license,
        "archive_sha512": hashlib.sha512(content).hexdigest(),
        "files": files,
    }


def _packed(package: Package) -> bytes:
    """The archive; npm compares it with the checksum of the registry."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{package.name}@{package.version}", "--silent"]
        name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
        return (Path(folder) / name.splitlines()[-1]).read_bytes()


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    if file is None:
        raise FileNotFoundError(name)
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
