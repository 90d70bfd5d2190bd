"""Finds the newest migration of a package from its files, without Alembic, which a running service does not need."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from ..errors import ConfigurationError


def versions(package: str) -> Path:
    """The folder of the migrations of `package`, such as `services.order.migrations`."""
    module = importlib.import_module(package)
    if module.__file__ is None:
        raise ImportError(f"{package} has no folder; it needs an __init__.py")
    return Path(module.__file__).parent / "versions"


def newest(package: str) -> str | None:
    """The newest migration of `package`, None if it has none. It reads every file: call it once.

    Raises ConfigurationError if two migrations are the newest, which Alembic would not run either.
    """
    revisions: set[str] = set()
    followed: set[str] = set()
    for path in versions(package).glob("*.py"):
        named = _constants(path)
        if not isinstance(revision := named.get("revision"), str):
            continue
        revisions.add(revision)
        before = named.get("down_revision")
        followed.update(before if isinstance(before, list | tuple) else [before] if isinstance(before, str) else [])
    heads = sorted(revisions - followed)
    if len(heads) > 1:
        raise ConfigurationError(f"{package} has several newest migrations: {', '.join(heads)}; merge them")
    return heads[0] if heads else None


def _constants(path: Path) -> dict[str, object]:
    """The literals that are assigned to names in a module, which is not executed."""
    found: dict[str, object] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(name)], value=value)
                | ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value)
            ) if name in {"revision", "down_revision"}:
                found[name] = ast.literal_eval(value)
    return found
