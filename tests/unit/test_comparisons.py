"""The frame of the comparisons: lines are run, bounded, stored, and written into their pages."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons import __main__ as command
from comparisons import page
from comparisons.contract import Cell, ComparisonPart, ComparisonTable, Line, LineResult, NotAvailable
from comparisons.environment import ComparisonEnvironment
from comparisons.runner import LinesFailed, run
from comparisons.stored import LineConditions, StoredLine, read, store

CONDITIONS = LineConditions("make compare", "0123456", 7, "one core", (("Postgres", "18"),))
TEMPLATE = """# T

<!-- compare faults: begin -->
old
<!-- compare faults: end -->

<!-- compare conditions: begin -->
<!-- compare conditions: end -->
"""


def result(text: str = "kept", *, unexpected: str = "") -> LineResult:
    return LineResult(
        {"a": Cell(text, unexpected), "b": Cell("not installed", skipped=True)},
        numbers=[NumberFound("a", "1/s", [10.0, 20.0, 30.0]), NumberFound("b", "1/s", [])],
        latencies=[LatencyFound("a", [1.23456, 2.0])],
        notes=["a note."],
        versions={"Postgres": "18"},
    )


def line(key: str, *outcomes: LineResult | Exception, most_seconds: float = 5) -> Line:
    given = list(outcomes)

    async def outcome(_: ComparisonEnvironment) -> LineResult:
        if not given:
            await asyncio.Event().wait()
        found = given.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return Line(key, f"What of {key}?", ("unit/test_comparisons.py::test_a_page",), outcome, most_seconds)


def part(*lines: Line) -> ComparisonPart:
    return ComparisonPart("demo", 1, (ComparisonTable("faults", "Fault", ("a", "b"), lines),))


async def collected(lines: Sequence[Line], folder: Path) -> tuple[dict[str, StoredLine], str]:
    found: dict[str, StoredLine] = {}
    async with ComparisonEnvironment(folder, 7) as environment:
        try:
            async for key, stored in run(part(*lines), lines, environment, "make compare"):
                found |= {key: stored}
        except LinesFailed as error:
            return found, str(error)
    return found, ""


async def test_a_result_has_its_conditions(tmp_path: Path) -> None:
    found, failed = await collected([line("x", result())], tmp_path)
    assert failed == ""
    assert found["x"].conditions.seed == 7
    assert ("Postgres", "18") in found["x"].conditions.versions
    assert {"event-trio", "Python"} <= dict(found["x"].conditions.versions).keys()


async def test_what_is_unexpected_is_kept_and_fails(tmp_path: Path) -> None:
    found, failed = await collected([line("x", result(unexpected="b")), line("y", result())], tmp_path)
    assert (set(found), failed) == ({"x", "y"}, "failed: x")


async def test_a_line_for_which_something_is_missing_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, failed = await collected([line("x", NotAvailable("a broker: install it"))], tmp_path)
    assert (found, failed) == ({}, "")
    assert "skipped: a broker: install it" in capsys.readouterr().out


async def test_errors_and_time_outs_fail_a_line_and_not_the_next(tmp_path: Path) -> None:
    lines = [line("x", KeyError("of\n any type")), line("y", most_seconds=0.01), line("z", result())]
    found, failed = await collected(lines, tmp_path)
    assert failed == "failed: x, y"
    assert {key: each.result.cells["a"].text for key, each in found.items()} == {
        "x": "failed: KeyError: 'of\\n any type'",
        "y": "failed: TimeoutError: not done after 0 s",
        "z": "kept",
    }
    assert all(found["x"].result.cells[column].unexpected for column in ("a", "b"))


async def test_a_result_without_a_column_fails(tmp_path: Path) -> None:
    found, failed = await collected([line("x", LineResult({"a": Cell("")}))], tmp_path)
    assert failed == "failed: x"
    assert found["x"].result.cells["b"].text.startswith("failed: ValueError: x found ['a']")


def test_one_line_is_stored_over_its_former_result_and_no_other(tmp_path: Path) -> None:
    store(tmp_path, "demo", {"x": StoredLine(CONDITIONS, result("old")), "y": StoredLine(CONDITIONS, result())})
    store(tmp_path, "demo", {"x": StoredLine(CONDITIONS, result("new"))})
    found = read(tmp_path, "demo")
    assert {key: each.result.cells["a"].text for key, each in found.items()} == {"x": "new", "y": "kept"}
    assert found["x"].conditions == CONDITIONS
    assert found["x"].result.latencies == [LatencyFound("a", [1.235, 2.0])]
    assert read(tmp_path, "none") == {}


def test_a_page(tmp_path: Path) -> None:
    lines = (line("x"), line("y"))
    written = page.write(tmp_path, part(*lines), {"x": StoredLine(CONDITIONS, result())}, TEMPLATE)
    assert [path.name for path in written] == ["demo.md", "demo-x.svg", "demo-x-latencies.svg"]
    for plot in written[1:]:
        ElementTree.parse(plot)
    text = written[0].read_text()
    tests = "`unit/test_comparisons.py::test_a_page`"
    assert f"| What of x? | kept | skipped: not installed | `x` | {tests} |" in text
    assert f"| What of y? | not run | not run | `y` | {tests} |" in text
    assert "- `x`: a note." in text
    assert "- `x`: `make compare` on revision 0123456, seed 7, one core. Postgres 18." in text
    assert "old" not in text
    assert page.filled(part(*lines), {"x": StoredLine(CONDITIONS, result())}, text) == text


def test_plots_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "demo-gone.svg").write_text("")
    page.write(tmp_path, part(line("x")), {}, TEMPLATE)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.md"]


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(page.PageIncomplete, match="conditions"):
        page.filled(part(line("x")), {}, "# T\n")


def test_numbers_of_two_units_are_not_drawn_on_one_axis(tmp_path: Path) -> None:
    mixed = LineResult({}, numbers=[NumberFound("a", "1/s", [1.0]), NumberFound("b", "ms", [1.0])])
    with pytest.raises(ValueError, match="one axis"):
        page.write(tmp_path, part(line("x")), {"x": StoredLine(CONDITIONS, mixed)}, TEMPLATE)


def test_unexpected_is_shown() -> None:
    assert page.shown(Cell("3", "4")) == "3 (**unexpected**: 4)"


async def test_the_seed_determines_what_is_random(tmp_path: Path) -> None:
    one, same, other = (ComparisonEnvironment(tmp_path, seed) for seed in (1, 1, 2))
    assert one.random("a").random() == same.random("a").random() != one.random("b").random()
    assert one.random("a").random() != other.random("a").random()


def test_unknown_parts_and_lines_are_refused_and_lines_are_listed() -> None:
    app = typer.Typer()
    app.command()(command.main)
    runner = CliRunner()
    assert "there is no part 'x'" in runner.invoke(app, ["x"]).output
    assert "there is no line 'x'" in runner.invoke(app, ["--line", "x"]).output
    listed = runner.invoke(app, ["--list"])
    assert listed.exit_code == 0
    assert "attribute-filters" in listed.output
