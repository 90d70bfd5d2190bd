"""Each failure in the tables of the faults page names a test or an injected fault, and every named one exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.faults.catalogue import modules as catalogue
from tests.faults.registry import FAULTS
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "explanation" / "faults.md"
NAMED = re.compile(r"`([a-z]+/test_\w+\.py)::(\w+)`")
INJECTED = re.compile(r"`make faults FAULT=(\d+)`")


@cache
def functions(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(file: str, test: str) -> bool:
    path = ROOT / "tests" / file
    return path.exists() and test in functions(path)


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 40
    assert [f"{file}::{test}" for file, test in named if not exists(file, test)] == []


def test_every_failure_has_a_test_or_is_listed_as_untested() -> None:
    shown, _, _ = PAGE.read_text().partition("## Not tested")
    rows = [line for line in shown.splitlines() if line.startswith("| ") and not line.startswith("| Failure ")]
    assert len(rows) > 40
    assert [row for row in rows if not NAMED.search(row) and not INJECTED.search(row)] == []


def test_every_injected_fault_exists() -> None:
    catalogue.load()
    assert {int(number) for number in INJECTED.findall(PAGE.read_text())} <= FAULTS.keys()


@pytest.mark.parametrize(
    ("file", "test"),
    [("unit/test_gone.py", "test_so"), ("architecture/test_faults.py", "test_that_was_renamed")],
)
def test_the_rule_sees_missing_tests(file: str, test: str) -> None:
    assert not exists(file, test)
