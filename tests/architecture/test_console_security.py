"""The page on the console's security has every requirement of ASVS level 1, and the tests that it names exist."""

import ast
import re

from tests.support.sources import ROOT

PAGE = (ROOT / "docs/reference/console-security.md").read_text(encoding="utf-8")
# Chapter and section of OWASP ASVS 5.0, and how many requirements of level 1 the section has, which come first in it.
LEVEL_1 = {
    **{"1.2": 5, "1.3": 2, "1.5": 1, "2.1": 1, "2.2": 2, "2.3": 1, "3.2": 2, "3.3": 1, "3.4": 2, "3.5": 3, "4.1": 1},
    **{"4.4": 1, "5.2": 2, "5.3": 2, "6.1": 1, "6.2": 8, "6.3": 2, "6.4": 2, "7.2": 4, "7.4": 2, "8.1": 1, "8.2": 2},
    **{"8.3": 1, "9.1": 3, "9.2": 1, "10.4": 5, "11.3": 2, "11.4": 1, "12.1": 1, "12.2": 2, "13.4": 1, "14.2": 1},
    **{"14.3": 1, "15.1": 1, "15.2": 1, "15.3": 1},
}
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([a-z]+/test_\w+\.py)::(\w+)`")


def test_every_requirement_is_answered() -> None:
    expected = [f"{section}.{number + 1}" for section, most in LEVEL_1.items() for number in range(most)]
    assert len(expected) == 70
    rows = ROW.findall(PAGE)
    assert [number for number, _, _ in rows] == expected
    # A test, or a sentence.
    assert [number for number, _, answer in rows if not (NAMED.search(answer) or answer.endswith("."))] == []


def test_every_named_test_exists() -> None:
    named = set(NAMED.findall(PAGE))
    assert len(named) > 25
    missing = []
    for file, test in named:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        missing += [] if test in functions else [f"{file}::{test}"]
    assert missing == []
