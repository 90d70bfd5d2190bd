"""The pages of the comparisons: every claim names a test that exists, and every table is what the results give."""

import re
from collections.abc import Iterator

import pytest

from comparisons import page as comparison_page
from comparisons.contract import Cell, ComparisonPart, ComparisonTable, Line, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.registry import PARTS
from comparisons.stored import read
from tests.architecture.test_faults import NAMED, exists
from tests.support.documents import prose
from tests.support.prose_numbers import WRITTEN
from tests.support.sources import ROOT

FOLDER = ROOT / "docs" / "comparisons"
INDEX = "README.md"
NO_CLAIMS = {"Run it", "Conditions", "Not shown", "Terms"}
"""Sections that instruct, define, or list what no run shows."""
SEED = {
    "brokers": (
        *("Kafka 1:N", "Redis Pub/Sub 1:N", "SNS 1:N", "SQS 1:1", "RabbitMQ 1:1"),
        "message groups alone make EDA hard",
    ),
    "cdc": ("outbox or CDC",),
}
"""The lines of the seed that the pages quote as claims, by their page."""

every_part = pytest.mark.parametrize("part", PARTS.values(), ids=lambda part: part.name)


@every_part
def test_every_claim_names_a_test(part: ComparisonPart) -> None:
    assert [claim for claim in claims(_text(part)) if not NAMED.search(claim)] == []


@every_part
def test_every_named_test_exists(part: ComparisonPart) -> None:
    named = NAMED.findall(_text(part))
    assert named
    assert [f"{file}::{test}" for file, test in named if not exists(file, test)] == []


@every_part
def test_every_line_names_tests_that_exist(part: ComparisonPart) -> None:
    for line in part.lines():
        named = [NAMED.fullmatch(f"`{test}`") for test in line.tests]
        assert named, f"{line.key} names no test"
        assert [line.tests[i] for i, found in enumerate(named) if found is None or not exists(*found.groups())] == []


@every_part
def test_the_page_shows_the_stored_results(part: ComparisonPart) -> None:
    stored = read(FOLDER, part.name)
    assert set(stored) <= {line.key for line in part.lines()}, "a stored line is gone"
    assert comparison_page.filled(part, stored, _text(part)) == _text(part), "run make compare ARGS=--page-only"


@every_part
def test_nothing_unexpected_is_stored(part: ComparisonPart) -> None:
    cells = [(key, cell) for key, line in read(FOLDER, part.name).items() for cell in line.result.cells.values()]
    assert [(key, cell.text) for key, cell in cells if cell.unexpected] == []


@pytest.mark.parametrize(("page", "quoted"), [(page, each) for page, lines in SEED.items() for each in lines])
def test_every_claim_of_the_seed_has_a_verdict_and_a_test(page: str, quoted: str) -> None:
    [line] = [line for line in PARTS[page].lines() if line.question == f"“{quoted}”"]
    [cell] = read(FOLDER, page)[line.key].result.cells.values()
    assert line.tests
    assert re.match(r"(holds|wrong|no choice)\b", cell.text), cell
    assert not cell.skipped
    assert f"| “{quoted}” | {cell.text} |" in _text(PARTS[page])


def test_every_page_belongs_to_a_part() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == {INDEX, *(f"{name}.md" for name in PARTS)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# T\n\nIntroduction.\n\n## A\n\nIt holds\nalways.\n", ["It holds always."]),
        ("# T\n\n## A\n\n- one\n  more\n- two\n", ["- one more", "- two"]),
        ("# T\n\n## A\n\n| Claim | Test |\n|---|---|\n| it holds | x |\n", ["| it holds | x |"]),
        ("# T\n\n## Run it\n\nIt runs.\n\n## A\n\nThese hold:\n\n> what others say\n", []),
        ("# T\n\n## A\n\n<!-- compare a: begin -->\n\n| x |\n\n<!-- compare a: end -->\n\n```sh\nx\n```\n", []),
        ("# T\n\n## A\n\n### B\n\nIt holds.\n", ["It holds."]),
    ],
)
def test_the_rule_sees_claims(text: str, found: list[str]) -> None:
    assert list(claims(text)) == found


def test_the_rule_sees_a_test_that_is_gone() -> None:
    assert not exists("integration/test_comparison_questions.py", "test_absent")


def test_a_part_refuses_repeated_and_malformed_keys() -> None:
    async def run(_: ComparisonEnvironment) -> LineResult:
        return LineResult({"x": Cell("")})

    def part(*keys: str) -> ComparisonPart:
        lines = tuple(Line(key, "?", (), run) for key in keys)
        return ComparisonPart("p", 1, (ComparisonTable("t", "T", ("x",), lines),))

    assert [line.key for line in part("a", "b-1").lines()] == ["a", "b-1"]
    with pytest.raises(ValueError, match="more than once"):
        part("a", "a")
    with pytest.raises(ValueError, match="lower case"):
        part("A b")


def claims(text: str) -> Iterator[str]:
    """The paragraphs, list items and table rows that make a claim.

    The text before the first section says what the page is for. A paragraph that ends with a colon introduces a list,
    and a quotation is what others say.
    """
    made = prose(WRITTEN.sub("", text))
    section = ""
    for block in re.split(r"\n\s*\n|\n(?=[-*|#] ?)", made):
        heading = re.match(r"(#+) (.+)", block.strip())
        if heading:
            section = heading[2] if len(heading[1]) == 2 else section
        elif section and section not in NO_CLAIMS and (claim := " ".join(block.split())) and _is_claim(claim):
            yield claim


def _is_claim(text: str) -> bool:
    return not (text.endswith(":") or text.startswith((">", "|--", "![")) or text.startswith("| Claim |"))


def _text(part: ComparisonPart) -> str:
    return (FOLDER / f"{part.name}.md").read_text(encoding="utf-8")
