"""Nobody decides a backoff's jitter by a constant: those who wait for the same thing would come back in step."""

import ast

import pytest

from tests.support.sources import named, nodes, parse, python_files


def test_no_backoff_is_given_its_chance_by_a_constant() -> None:
    found = [
        f"{named(path)}:{line}"
        for path in python_files("shared", "services", "infra", "tools")
        for line in _decided(parse(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("await pause(stopping, RETRY.delay(failures, 0.0))", 1),
        ("self._backoff.delay(attempt, random=0)", 1),
        ("RETRY.delay(failures)", 0),
        ("RETRY.delay(failures, chance())", 0),
    ],
)
def test_the_rule_sees_a_constant(source: str, count: int) -> None:
    assert len(_decided(ast.parse(source))) == count


def _decided(module: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in nodes(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "delay"
        and any(isinstance(given, ast.Constant) for given in [*node.args[1:], *(k.value for k in node.keywords)])
    ]
