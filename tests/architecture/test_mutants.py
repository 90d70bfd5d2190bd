"""Every mutant applies to the current code, and what it makes of it is Python."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.mutants import ROOT, Mutant, mutants

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="patches are applied by git")


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_code_and_names_a_test(mutant: Mutant, tmp_path: Path) -> None:
    assert (ROOT / mutant.test.partition("::")[0]).is_file()
    files = [line.removeprefix("--- a/") for line in mutant.patch.read_text().splitlines() if line.startswith("--- a/")]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    # Outside of the repository, so that tracked and ignored files do not matter.
    applied = subprocess.run(
        ["git", "apply", str(mutant.patch)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    for file in files:
        ast.parse((tmp_path / file).read_text(encoding="utf-8"), filename=file)
