"""Tests wait for what they wait for, never for a time."""

import ast

import pytest

from tests.support.sources import called, named, nodes, parse, python_files

SLEEPS = {"asyncio.sleep", "anyio.sleep", "sleep"}
LONGEST_PAUSE = 0.1  # a pause between two looks, as in tests/support/waiting.py


def test_the_data_of_a_postgres_is_removed_with_the_test() -> None:
    calls = [(path, node) for path in python_files("tests") for node in nodes(parse(path))]
    private = [
        f"{named(path)}:{node.lineno}"
        for path, node in calls
        if isinstance(node, ast.Call) and called(node) == "EmbeddedPostgres" and "tmp_path" in ast.unparse(node)
    ]
    assert private == [], "use the fixture postgres_folder: the server cannot enter tmp_path"


def test_no_test_sleeps_for_a_fixed_time() -> None:
    calls = [(path, node) for path in python_files("tests") for node in nodes(parse(path))]
    sleeps = [f"{named(path)}:{node.lineno}" for path, node in calls if isinstance(node, ast.Call) and _is_fixed(node)]
    assert sleeps == []


@pytest.mark.parametrize(
    ("source", "fixed"),
    [("time.sleep(0.01)", True), ("asyncio.sleep(1)", True), ("asyncio.sleep(0)", False), ("asyncio.sleep(x)", False)],
)
def test_the_rule_sees_a_fixed_sleep(source: str, fixed: bool) -> None:
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _is_fixed(call) is fixed


def _is_fixed(call: ast.Call) -> bool:
    name = called(call)
    if name == "time.sleep":
        return True
    if name not in SLEEPS or not call.args or not isinstance(call.args[0], ast.Constant):
        return False
    seconds = call.args[0].value
    return isinstance(seconds, int | float) and seconds > LONGEST_PAUSE
