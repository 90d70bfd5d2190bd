"""The project's own files, for the tests of the house rules."""

import ast
import os
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed; in an exported archive, every file that no rule leaves out."""
    names = _tracked_or_new(ROOT)
    found = (ROOT / name for name in names) if names is not None else walked(ROOT)
    return tuple(sorted(path for path in found if path.is_file() and not path.is_symlink()))


def _tracked_or_new(root: Path) -> list[str] | None:
    """What git says; None where there is no git, or where it is about another folder or somebody else's."""
    if not (root / ".git").exists():
        return None
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in listed.split("\0") if name]


def walked(root: Path) -> list[Path]:
    """Every file below a folder, but for what its .gitignore names: names of files and folders, with wildcards."""
    rules = (root / ".gitignore").read_text(encoding="utf-8").split()
    ignored = [rule.rstrip("/") for rule in rules] + [".git"]
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not _fits(name, ignored)]
        found += [Path(folder) / name for name in files if not _fits(name, ignored)]
    return found


def _fits(name: str, rules: list[str]) -> bool:
    return any(fnmatch(name, rule) for rule in rules)


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """The Python files below the folders, or all of them."""
    roots = [ROOT / folder for folder in folders] or [ROOT]
    return tuple(
        path for path in project_files() if path.suffix == ".py" and any(path.is_relative_to(r) for r in roots)
    )


@cache
def named(path: Path) -> str:
    """A path as a message shows it."""
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=named(path))


@cache
def nodes(module: ast.Module) -> tuple[ast.AST, ...]:
    """What `ast.walk` finds in a module, found once: most rules look at all of it."""
    return tuple(ast.walk(module))


def executed_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module that run when it is imported: everything but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for part in [*getattr(child, "decorator_list", []), *child.args.defaults, *child.args.kw_defaults]:
                if part is not None:
                    yield part
                    yield from executed_at_import(part)
            continue
        yield child
        yield from executed_at_import(child)


def called(node: ast.AST) -> str | None:
    """The dotted name of what a call calls: "asyncio.sleep"."""
    return dotted(node.func) if isinstance(node, ast.Call) else None


def dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return None
