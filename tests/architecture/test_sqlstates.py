"""One table says what a SQLSTATE means: no other module of the services knows any."""

import ast
import re

import asyncpg
import pytest

from tests.support.sources import named, nodes, parse, python_files

TABLE = "shared/event_trio/database/faults.py"
# `ERRCODE` in a statement raises one, and reads none.
CLASSES = {state[:2] for state in asyncpg.exceptions._base.PostgresMessageMeta._message_map if isinstance(state, str)}
STATE = re.compile(r"[0-9A-Z]{5}")


def test_states_are_in_their_table_alone() -> None:
    found = [
        f"{named(path)}:{line}"
        for path in python_files("shared", "services")
        if named(path) != TABLE
        for line in _states(parse(path))
    ]
    assert found == []


def test_the_table_is_seen() -> None:
    [table] = [path for path in python_files("shared") if named(path) == TABLE]
    assert len(_states(parse(table))) > 5


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('if error.sqlstate == "40001": ...', 1),
        ('PASSING = ("08P01", "57014")', 2),
        ("except asyncpg.DeadlockDetectedError: ...", 0),
        ('KEY = "HELLO"', 0),
        ("'''the state 40001'''", 0),
    ],
)
def test_the_rule_sees_states(source: str, count: int) -> None:
    assert len(_states(ast.parse(source if not source.startswith("except") else f"try: ...\n{source}"))) == count


def _states(module: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in nodes(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_state(node.value)
    ]


def _is_state(text: str) -> bool:
    return bool(STATE.fullmatch(text)) and any(character.isdigit() for character in text) and text[:2] in CLASSES
