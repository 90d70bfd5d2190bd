"""No two classes share a name, so that a name means one thing in the whole repository."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.sources import named, nodes, parse, python_files

FOLDERS = ("shared", "services", "infra", "tools", "benchmarks", "comparisons")


def test_every_class_has_a_name_of_its_own() -> None:
    assert shared_names((named(path), parse(path)) for path in _modules()) == {}


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        (["class A: ...", "class B: ..."], {}),
        (["class A: ...", "class A: ..."], {"A": ["0:1", "1:1"]}),
        (["class A:\n    class A: ..."], {"A": ["0:1", "0:2"]}),
        (["def f():\n    class _A: ...", "class A: ..."], {"A": ["0:2", "1:1"]}),
    ],
)
def test_the_rule_sees_classes_that_share_a_name(sources: list[str], found: dict[str, list[str]]) -> None:
    assert shared_names((str(number), ast.parse(source)) for number, source in enumerate(sources)) == found


def _modules() -> list[Path]:
    """The modules of the project; an example is a program of its own."""
    return [path for path in python_files(*FOLDERS) if "examples" not in path.parts]


def shared_names(modules: Iterable[tuple[str, ast.Module]]) -> dict[str, list[str]]:
    """Where each name that more than one class has is defined. A leading underscore makes no other name."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, module in modules:
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                found[node.name.removeprefix("_")].append(f"{name}:{node.lineno}")
    return {name: places for name, places in found.items() if len(places) > 1}
