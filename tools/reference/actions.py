"""The reference of log lines, by the `action` that each has in the source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from event_trio.contracts.orders import ORDER_EVENTS
from tools.reference.markdown import code, page, table

ROOT = Path(__file__).parents[2]
FOLDERS = ("shared", "services", "infra")
INTRODUCTION = """
Every log line has a stable `action` for searches and alerts; the text may change. Lines are readable text on a terminal
and JSON elsewhere (`LOG_FORMAT`). Each line also has `service`, `level`, `logger` and `timestamp`. Lines of a request
have its `correlation_id` and `trace_id`. Lines of the processing of an event have `event_id`, `message_id`, `type`,
`sequence`, `correlation_id` and the id of the order. Recipients, tokens, passwords and database URLs are never logged.
Lines of libraries have the action `library.<name>`.
"""
LEVELS = {"exception": "error, with traceback"}


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """A call in the source that writes a log line."""

    action: str
    level: str
    text: str
    fields: tuple[str, ...]
    module: str


def render() -> str:
    """The page."""
    headings = ("Action", "Level", "Text", "Fields", "Module")
    rows = [
        (code(line.action), line.level, line.text, ", ".join(map(code, line.fields)), code(line.module))
        for line in lines()
    ]
    return page("Log actions", INTRODUCTION, table(headings, rows))


@cache
def lines() -> tuple[LogLine, ...]:
    """Every log line of the packages, by action."""
    modules = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    return tuple(sorted({line for name, module in modules.items() for line in _lines(name, module, modules)}))


def _lines(name: str, module: ast.Module, modules: Mapping[str, ast.Module]) -> Iterator[LogLine]:
    for call in _calls(module):
        given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        action = given.pop("action", None)
        if action is None:
            continue
        levels = _levels(call.func, module)
        if not levels:
            continue
        texts = _texts(call.args[0]) if call.args else []
        found = _values(action, modules)
        for number, value in enumerate(found):
            # A line that chooses between actions chooses between as many texts.
            text = texts[number] if len(texts) == len(found) else "".join(texts[:1])
            yield LogLine(value, " or ".join(levels), text, tuple(given), name)


def _levels(function: ast.expr, module: ast.Module) -> list[str]:
    """The level of `log.info(...)`, or the levels of a variable that holds such a function."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log":
        return [LEVELS.get(function.attr, function.attr)]
    if not isinstance(function, ast.Name):
        return []
    levels = [
        level
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == function.id for target in node.targets)
        for part in ast.walk(node.value)
        if isinstance(part, ast.Attribute)
        for level in _levels(part, module)
    ]
    return sorted(set(levels))


def _texts(text: ast.expr) -> list[str]:
    if isinstance(text, ast.IfExp):
        return [*_texts(text.body), *_texts(text.orelse)]
    return [str(text.value)] if isinstance(text, ast.Constant) else []


def _values(action: ast.expr, modules: Mapping[str, ast.Module]) -> list[str]:
    if isinstance(action, ast.Constant):
        return [str(action.value)]
    if isinstance(action, ast.IfExp):
        return [*_values(action.body, modules), *_values(action.orelse, modules)]
    computed = COMPUTED.get(ast.unparse(action))
    if computed is None:
        raise ValueError(
            f"the action {ast.unparse(action)} is computed: add its values to COMPUTED in tools/reference/actions.py"
        )
    return computed(modules)


@cache
def _calls(module: ast.Module) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(module) if isinstance(node, ast.Call))


def _first_arguments(function: str, modules: Mapping[str, ast.Module]) -> list[str]:
    """The first arguments of every call of a function."""
    return sorted(
        str(call.args[0].value)
        for module in modules.values()
        for call in _calls(module)
        if call.args and isinstance(call.args[0], ast.Constant) and ast.unparse(call.func) == function
    )


# The values of actions that are not constants in the source, by their expression.
COMPUTED: Mapping[str, Callable[[Mapping[str, ast.Module]], list[str]]] = {
    "envelope.type": lambda _: [payload.type for payload in ORDER_EVENTS],
    "f'{self.name}.delayed'": lambda modules: [f"{name}.delayed" for name in _first_arguments("BatchWriter", modules)],
    "action": lambda modules: _first_arguments("self._report_problem", modules),
}
