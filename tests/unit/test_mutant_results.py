"""The results of mutants: kept in a file, and shown as the table of a page."""

from pathlib import Path

import pytest

from tools.mutant_results import Result, Verdict, append, load, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "results.jsonl"
    append(file, Result("read-by-id", "Reads by id.", Verdict.SURVIVED, 40.0, "no test failed"))
    append(file, Result("no-inbox", "No inbox.", Verdict.DETECTED, 8.0, "E", "tests/test_a.py::test_b[1-2]"))
    append(file, Result("read-by-id", "Reads by id.", Verdict.DETECTED, 20.4, "E", "tests/test_a.py::test_c"))
    return file


def test_the_last_result_of_a_mutant_counts(file: Path) -> None:
    assert [(result.mutant, result.verdict) for result in load(file)] == [
        ("no-inbox", Verdict.DETECTED),
        ("read-by-id", Verdict.DETECTED),
    ]


def test_a_file_that_does_not_exist_has_no_results(tmp_path: Path) -> None:
    assert load(tmp_path / "results.jsonl") == []


def test_the_table_replaces_what_is_between_the_marks_of_the_page(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- mutants: begin -->\nold\n<!-- mutants: end -->\nafter\n")
    append(file, Result("mark-all", "Marks all.", Verdict.SURVIVED, 30.0, "no test failed"))
    write(page, load(file))
    text = page.read_text()
    assert text.startswith("before\n<!-- mutants: begin -->\n\n| Mutant |")
    assert "| mark-all | Marks all. | **SURVIVED** | 30 |\n" in text
    assert "| no-inbox | No inbox. | `tests/test_a.py::test_b` | 8 |\n" in text
    assert "\n2 of 3 mutants were detected, half of them within 14 s, all within 20 s.\n" in text
    assert text.endswith("<!-- mutants: end -->\nafter\n")
    assert "old" not in text


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("no marks\n")
    with pytest.raises(ValueError, match="no marks"):
        write(tmp_path / "page.md", [])
