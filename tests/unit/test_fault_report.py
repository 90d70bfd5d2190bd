"""What the page on reliability says about the runs of the fault suite."""

from pathlib import Path

import pytest

from tests.faults import page, report
from tests.faults.catalogue import modules as catalogue
from tests.faults.results import Result


def result(seed: int, *numbers: int, violations: tuple[str, ...] = ()) -> Result:
    return Result(numbers, seed, "", list(violations), 1.0, revision="abc1234")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    catalogue.load()
    written = tmp_path / "page.md"
    written.write_text("before\n<!-- fault run: begin -->\n<!-- fault run: end -->\nafter\n")
    monkeypatch.setattr(page, "PAGE", written)
    monkeypatch.setattr(page, "machine", lambda: "2 cores")
    return written


def test_a_seed_counts_when_each_fault_ran_with_it(published: Path) -> None:
    report.publish([result(1, 1), result(1, 2), result(2, 1), result(2, 2), result(3, 1), result(1, 1, 2)])
    text = published.read_text()
    assert "2 faults, 2 seeds each and 1 run with other seeds, 1 pair; revision abc1234; 2 cores." in text
    assert "| 1 | API killed before commit | P1 | 3 | 0 | 1.0 | 1.0 |" in text
    assert "| 2 | " in text
    assert text.startswith("before")
    assert text.endswith("after\n")


def test_a_broken_run_that_was_repeated_is_counted(published: Path) -> None:
    report.publish([result(1, 1, violations=("lost: x",)), result(1, 1)])
    assert "1 run, 0 violations, 0 faults skipped. 1 run repeated after a violation." in published.read_text()
