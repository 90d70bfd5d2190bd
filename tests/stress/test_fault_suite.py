"""A slice of the fault suite: a few faults of each part, with the checker as a program of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.catalogue import modules as catalogue
from tests.faults.registry import FAULTS
from tests.support.sources import ROOT

SLICE = (3, 8, 10, 25, 26, 51)
CATALOGUE = 53


@pytest.mark.timeout(420)
def test_a_slice_of_the_catalogue_keeps_every_promise(tmp_path: Path) -> None:
    chosen = [part for number in SLICE for part in ("--fault", str(number))]
    command = [sys.executable, "-m", "tests.faults.main", *chosen, "--folder", str(tmp_path / "faults")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SLICE)} runs, 0 violations, 0 faults skipped." in done.stdout


def test_the_catalogue_is_complete() -> None:
    catalogue.load()
    assert sorted(FAULTS) == list(range(CATALOGUE + 1))
    assert all(fault.promises for fault in FAULTS.values())
