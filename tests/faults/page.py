"""Writes results into the page on reliability, between the marks of a command, and says on what they were made."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from tests.support.processes import ROOT
from tools.embedded import installation, localstack

TESTED = ("services", "shared", "infra")
PAGE = Path("docs/explanation/reliability.md")


def machine() -> str:
    """The processors and the versions of this machine."""
    versions = f"Python {platform.python_version()}, Postgres {installation.find().version()}"
    return f"{os.cpu_count()} cores, {versions}, LocalStack {localstack.version()}"


@cache
def revision() -> str:
    """The last revision that changed the code under test, with a "+" if it has later changes; empty outside a clone."""
    found = _git("log", "-1", "--format=%h", "--", *TESTED)
    return f"{found}+" if found and _git("status", "--porcelain", "--", *TESTED) else found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write(name: str, text: str) -> None:
    """Replace what is between the marks of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = PAGE.read_text()
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{PAGE} has no marks of {name}")
    PAGE.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
