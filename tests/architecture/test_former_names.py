"""Names that the changelog lists as renamed are used nowhere else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import RENAMED
from tests.support.sources import ROOT, named, project_files, python_files

CHANGELOG = ROOT / "CHANGELOG.md"
ROW = re.compile(r"^\| (?P<kind>[^|]+) \| `(?P<old>[^`]+)` \| `(?P<new>[^`]+)` \|$", re.MULTILINE)
# Names of one common word, which is used with its ordinary meaning too.
DISTINCT = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)+|/v1/[a-z-]+|[A-Z]+(?:_[A-Z]+)+")
# Of the test kit: topics, queues and subscriptions, which is what the term means.
REUSED = {"Topology"}
DECLARED = re.compile(r"^\s*class (\w+)", re.MULTILINE)
HISTORY = ("CHANGELOG.md", "docs/decisions/")
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".j2", ".example", ""}


def renamed() -> list[tuple[str, str, str]]:
    """Kind, former name and present name of each row."""
    section = RENAMED.search(CHANGELOG.read_text(encoding="utf-8"))
    return ROW.findall(section[0]) if section else []


def uses(text: str, names: set[str]) -> set[str]:
    """The names that a text has as whole words."""
    words = set(re.findall(r"(?<![\w./-])(?:/v1/)?\w+(?:[.-]\w+)*(?![\w-])", text))
    return names & (words | {word.strip("\"'`,;:()") for word in words})


def former_names() -> set[str]:
    return {old for kind, old, _ in renamed() if kind not in {"Class", "Module"} and DISTINCT.fullmatch(old)}


def test_the_changelog_lists_renames() -> None:
    assert len(renamed()) > 40
    assert [row for row in renamed() if row[1] == row[2]] == []


def test_no_former_name_is_used() -> None:
    former = former_names()
    found = [(named(path), name) for path in _living_files() for name in uses(path.read_text(encoding="utf-8"), former)]
    assert found == []


def test_no_class_has_a_former_name() -> None:
    former = {old for kind, old, _ in renamed() if kind == "Class"} - REUSED
    declared = {
        (named(path), name)
        for path in python_files("shared", "services", "infra", "tools")
        for name in DECLARED.findall(path.read_text(encoding="utf-8"))
    }
    assert [(path, name) for path, name in declared if name in former] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log.info('x', action=\"net.failed\")", {"net.failed"}),
        ("internet.failed_once", set()),
        ("`net.failed`", {"net.failed"}),
    ],
)
def test_the_rule_sees_former_names(text: str, expected: set[str]) -> None:
    assert uses(text, {"net.failed"}) == expected


def _living_files() -> Iterator[Path]:
    for path in project_files():
        living = path.is_file() and path != Path(__file__) and not named(path).startswith(HISTORY)
        if living and path.suffix in SUFFIXES:
            yield path
