"""Results in a file: none is lost when a run is interrupted, and other files are not taken for results."""

from pathlib import Path

import pytest

from tools.json_lines import UnreadableFile, append, read


def test_a_line_that_was_cut_off_is_left_out_and_the_next_result_begins_a_new_line(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "results.jsonl"
    append(file, {"number": 1})
    with file.open("a") as lines:
        lines.write('{"number": 2, "text": "cut')
    assert read(file) == [{"number": 1}]
    append(file, {"number": 3})
    assert read(file) == [{"number": 1}, {"number": 3}]


@pytest.mark.parametrize("other", ["notes\n", "[1]\n", '{"number": }\n'])
def test_other_content_is_an_error_that_names_the_line(tmp_path: Path, other: str) -> None:
    file = tmp_path / "results.jsonl"
    append(file, {"number": 1})
    with file.open("a") as lines:
        lines.write(other)
    with pytest.raises(UnreadableFile, match=r"results.jsonl, line 2 .*Remove the line"):
        read(file)


def test_no_file_has_no_results(tmp_path: Path) -> None:
    assert read(tmp_path / "results.jsonl") == []
