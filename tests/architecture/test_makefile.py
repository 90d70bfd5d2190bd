"""The Makefile documents each target, and CONTRIBUTING.md lists them all."""

import os
import re
import subprocess

from tests.support.sources import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
KINDS = ("architecture", "unit", "contract", "integration", "acceptance", "stress")


def _makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", _makefile(), re.MULTILINE))


def test_every_target_has_a_description() -> None:
    described = set(re.findall(r"^([a-z][a-z-]*):.*## \S", _makefile(), re.MULTILINE))
    assert _targets() == described


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make", "--silent"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE)) == _targets()


def test_every_kind_of_test_has_a_target_and_a_folder() -> None:
    assert {f"test-{kind}" for kind in KINDS} <= _targets()
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert folders <= set(KINDS)


def test_contributing_lists_every_target_and_no_other() -> None:
    mentioned = set(
        re.findall(
            r"\bmake ([a-z][a-z-]+)\b", " ".join(re.findall(r"`[^`]+`|```.*?```", CONTRIBUTING.read_text(), re.DOTALL))
        )
    )
    assert mentioned >= _targets()
    assert mentioned <= _targets()


def test_ci_runs_the_developers_commands() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\S+)$", script.read_text(), re.MULTILINE) == ["check", "test", "test-stress"]
