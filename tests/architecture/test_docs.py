"""Pages, files, tests, modules and make targets that documents name exist, and decisions have the same sections."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tests.support.documents import Page, page, pages
from tests.support.sources import ROOT, parse

FOLDERS = r"(?:shared|services|infra|tools|comparisons|tests|docs|locks|\.ci)"
PATH = re.compile(rf"{FOLDERS}/[\w./-]*(?:::\w+)?")
PACKAGES = ("shared", "services", "infra", "tools", "comparisons", "tests")
DECISION = ["Context", "Decision", "Consequences", "Revisit trigger"]

every_page = pytest.mark.parametrize("found", pages(), ids=lambda found: found.name)


@every_page
def test_every_link_has_a_target(found: Page) -> None:
    dead = [link for link in found.links if not _is_external(link) and not _has_a_target(found, link)]
    assert dead == []


@every_page
def test_every_path_exists(found: Page) -> None:
    assert [path for path in _paths(found) if not _exists(path)] == []


@every_page
def test_every_module_of_a_command_exists(found: Page) -> None:
    modules = re.findall(r"python -m ([\w.]+)", found.text)
    ours = [module for module in modules if module.split(".")[0] in PACKAGES]
    assert [module for module in ours if importlib.util.find_spec(module) is None] == []


@every_page
def test_every_make_target_exists(found: Page) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = [*found.spans, *(block.text for block in found.blocks if block.language == "sh")]
    named = {target for text in code for target in re.findall(r"\bmake ([a-z][a-z-]+)\b", text)}
    assert named - targets == set()


@every_page
def test_python_examples_are_python_and_import_what_exists(found: Page) -> None:
    for block in found.blocks:
        if block.language == "python":
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [alias.name for alias in node.names]
                    assert [name for name in names if not _can_be_imported(node.module, name)] == []


def test_every_page_can_be_reached_from_the_index() -> None:
    index = page("docs/README.md")
    reached, waiting = {index.path}, [index]
    while waiting:
        current = waiting.pop()
        targets = {_target(current, link) for link in current.links if not _is_external(link)}
        for path in targets - reached:
            if path.suffix == ".md" and path.is_relative_to(ROOT / "docs"):
                reached.add(path)
                waiting.append(Page(path))
    assert [found.name for found in pages() if found.name.startswith("docs/") and found.path not in reached] == []


def test_every_page_has_one_title() -> None:
    assert [found.name for found in pages() if [level for level, _ in found.headings].count(1) != 1] == []


def test_every_decision_has_the_same_sections_and_a_revisit_trigger() -> None:
    for number, decision in enumerate(_decisions(), 1):
        title = decision.headings[0][1]
        assert title.startswith(f"{number:04} "), f"{decision.name} is not number {number}"
        assert decision.path.name.startswith(f"{number:04}-")
        assert [text for level, text in decision.headings if level == 2] == DECISION, decision.name
        assert len(decision.text.rpartition("## Revisit trigger")[2].split()) > 5, decision.name


def test_every_decision_is_in_the_index_with_its_title() -> None:
    index = page("docs/README.md").text
    expected = [
        f"| [{decision.path.name[:4]}](decisions/{decision.path.name}) | {decision.headings[0][1][5:]} |"
        for decision in _decisions()
    ]
    assert [row for row in expected if row not in index] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("see `shared/event_trio/envelope.py` and `services/`", ["shared/event_trio/envelope.py", "services/"]),
        (
            "`tests/unit/test_backoff_and_supervisor.py::test_nothing`",
            ["tests/unit/test_backoff_and_supervisor.py::test_nothing"],
        ),
        ("[x](docs/x.md), shared/event_trio/envelope.py", []),
    ],
)
def test_the_rule_sees_paths(text: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    assert _paths(Page(tmp_path / "page.md")) == names


@pytest.mark.parametrize("path", ["shared/absent.py", "tests/unit/test_backoff_and_supervisor.py::test_absent"])
def test_the_rule_sees_missing_paths(path: str) -> None:
    assert not _exists(path)


def _is_external(link: str) -> bool:
    return link.startswith(("http://", "https://"))


def _target(found: Page, link: str) -> Path:
    return (found.path.parent / (link.partition("#")[0] or found.path.name)).resolve()


def _has_a_target(found: Page, link: str) -> bool:
    target, anchor = _target(found, link), link.partition("#")[2]
    return target.exists() and target.is_relative_to(ROOT) and (not anchor or anchor in Page(target).anchors)


def _paths(found: Page) -> list[str]:
    return [span for span in found.spans if PATH.fullmatch(span)]


def _exists(path: str) -> bool:
    file, _, function = path.partition("::")
    if not (ROOT / file).exists():
        return False
    names = (getattr(node, "name", None) for node in ast.walk(parse(ROOT / file))) if function else ()
    return not function or function in names


def _can_be_imported(module: str, name: str) -> bool:
    found = importlib.import_module(module)
    return hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None


def _decisions() -> list[Page]:
    return [found for found in pages() if found.path.parent == ROOT / "docs" / "decisions"]
