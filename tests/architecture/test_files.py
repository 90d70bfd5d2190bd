"""Files: how long, how named, and which folders are packages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT, named, parse, project_files, python_files, walked

LONGEST = 300
# Names that say nothing about what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base", "core", "lib"}
PACKAGES = ("shared/event_trio", "services", "infra", "tools", "comparisons")


def test_no_file_is_too_long_to_read() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_name_says_what_is_inside() -> None:
    nameless = [named(path) for path in python_files() if EMPTY_NAMES & {path.stem, *path.relative_to(ROOT).parts}]
    assert nameless == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_code_is_a_package(package: str) -> None:
    folders = {path.parent for path in python_files(package)}
    folders |= {parent for folder in folders for parent in folder.parents if parent.is_relative_to(ROOT / package)}
    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_tests_are_no_package() -> None:
    assert [named(path) for path in python_files("tests") if path.name == "__init__.py"] == []


def test_a_module_opens_with_what_it_is_for() -> None:
    silent = [named(path) for path in python_files() if parse(path).body and not ast.get_docstring(parse(path))]
    assert silent == []


def test_an_exported_archive_has_the_same_files(tmp_path: Path) -> None:
    kept = {path.relative_to(ROOT) for path in project_files()}
    for path in kept:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    litter = (".venv-localstack/lib/x.py", ".venv/x.py", ".tools/x.py", ".run/x.py", "shared/__pycache__/x.pyc", ".env")
    for name in litter:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import os, sys\n")
    assert {path.relative_to(tmp_path) for path in walked(tmp_path)} == kept
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet", "."]
    linted = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")
