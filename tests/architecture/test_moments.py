"""What one statement writes as one moment is one moment: two readings of the clock differ by a microsecond."""

import ast
import re

import pytest

from tests.support.sources import named, nodes, parse, python_files

ASSIGNED = re.compile(r"\w+ = [^=\n]*?clock_timestamp\(\)(?!\s*[-+<>])")
SET = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|\Z)", re.DOTALL)


def test_no_statement_writes_two_readings_of_the_clock() -> None:
    found = [
        f"{named(path)}:{node.lineno}"
        for path in python_files("shared", "services")
        for node in nodes(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _readings(node.value) > 1
    ]
    assert found == []


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("UPDATE a SET b = clock_timestamp(), c = clock_timestamp() WHERE d", 2),
        ("UPDATE a SET b = clock_timestamp(), c = coalesce(c, clock_timestamp())", 2),
        ("UPDATE a SET b = clock_timestamp() WHERE c < clock_timestamp() - interval '1 second'", 1),
        ("UPDATE a SET b = statement_timestamp(), c = statement_timestamp()", 0),
        ("SELECT clock_timestamp(), clock_timestamp()", 0),
    ],
)
def test_the_rule_sees_them(statement: str, count: int) -> None:
    assert _readings(statement) == count


def _readings(statement: str) -> int:
    return max((len(ASSIGNED.findall(part)) for part in SET.findall(statement)), default=0)
