"""Applies known mistakes to copies of the code, one at a time, and verifies that the tests detect each of them.

Each file in tests/mutants is a patch, whose first line describes the mistake and whose second line, `test: <path>`,
names the test that has to detect it. `python -m tools.mutants [NAME ...]`. The exit status is 0 when all were detected,
1 when one was not, and 3 when --minutes ended before every mutant had a result.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.postgres import EmbeddedPostgres
from tools.json_lines import UnreadableFile
from tools.mutant_results import Result, Verdict, append, load, totals, write

ROOT = Path(__file__).parents[1]
PATCHES = ROOT / "tests" / "mutants"
PAGE = ROOT / "docs" / "explanation" / "reliability.md"
RESULTS = ROOT / ".run" / "mutants" / "results.jsonl"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".tools", ".run", "__pycache__", ".*_cache", ".hypothesis")
# Exit statuses of pytest: all passed, some failed; any other means that no test was run.
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Mutant:
    """A patch that introduces a mistake."""

    name: str
    patch: Path
    mistake: str
    test: str


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """The mutants with these names, or all. Raises typer.BadParameter for an unknown name."""
    found = [_read(patch) for patch in sorted(PATCHES.rglob("*.patch"))]
    if unknown := set(names) - {mutant.name for mutant in found}:
        raise typer.BadParameter(f"unknown mutant: {', '.join(sorted(unknown))}")
    return [mutant for mutant in found if not names or mutant.name in names]


def run_mutant(mutant: Mutant, environment: dict[str, str], passing: set[str] | None = None) -> Result:
    """Apply the patch to a copy, and run the test that has to detect it.

    With `passing`, the test that failed has to pass without the patch; the set remembers which ones did.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="event-trio-mutant-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
        patched = _run(["git", "apply", str(mutant.patch)], copy, environment)
        if patched.returncode:
            return Result(
                mutant.name,
                mutant.mistake,
                Verdict.BROKEN,
                0.0,
                f"the patch does not apply: {_last_line(patched.stderr)}",
            )
        test = _test(mutant.test, copy, environment)
        verdict, detail, failed = judge(test.returncode, test.stdout, test.stderr)
        seconds = time.monotonic() - began
        alone = failed.partition("[")[0]
        if passing is not None and verdict is Verdict.DETECTED and alone not in passing:
            _run(["git", "apply", "--reverse", str(mutant.patch)], copy, environment)
            if _test(alone, copy, environment).returncode == PASSED:
                passing.add(alone)
            else:
                verdict, detail = Verdict.BROKEN, "the test fails without the patch, too"
    return Result(mutant.name, mutant.mistake, verdict, seconds, detail, failed)


def judge(status: int, output: str, errors: str = "") -> tuple[Verdict, str, str]:
    """The verdict, its explanation and the test that failed, from a run of pytest.

    A test that could not begin (ERROR) detected nothing.
    """
    failed = re.search(r"^FAILED (\S+)", output, re.MULTILINE)
    if status == FAILED and failed is not None:
        return Verdict.DETECTED, _finding(output), failed[1]
    if status == PASSED:
        return Verdict.SURVIVED, "no test failed", ""
    return Verdict.BROKEN, _last_line(output + errors), ""


def main(
    names: list[str] = typer.Argument(None, help="Only these mutants."),  # noqa: B008
    baseline: bool = typer.Option(False, help="Also verify that the test that failed passes without the patch."),
    results: Path = typer.Option(RESULTS, help="The file where results are kept."),  # noqa: B008
    resume: bool = typer.Option(False, help="Keep the results of the file, and run what was not detected yet."),
    minutes: float = typer.Option(10_000.0, help="Begin no mutant after so many minutes."),
    publish: bool = typer.Option(False, help=f"Write the table of the results into {PAGE.relative_to(ROOT)}."),
) -> None:
    """Run every mutant; exit with status 1 when one survives or cannot be applied."""
    if shutil.which("git") is None:
        raise typer.BadParameter("git is required to apply the patches, and is not installed")
    console = Console(stderr=True)
    chosen = mutants(names or [])
    try:
        if load(results) and not resume:
            results.unlink()
    except (UnreadableFile, OSError) as error:
        raise typer.BadParameter(f"--results: {error}") from None
    kept = {result.mutant for result in load(results) if result.verdict is Verdict.DETECTED}
    remaining = [mutant for mutant in chosen if mutant.name not in kept]
    if remaining:
        asyncio.run(_run_all(remaining, console, results, minutes, baseline=baseline))
    found = [result for result in load(results) if result.mutant in {mutant.name for mutant in chosen}]
    Console(width=240).print(_table(found))
    if publish:
        write(PAGE, found)
    console.print(totals(found))
    if left := len(chosen) - len(found):
        console.print(f"{left} of {len(chosen)} mutants are left: the same command with --resume continues")
        raise typer.Exit(3)
    if any(result.verdict is not Verdict.DETECTED for result in found):
        raise typer.Exit(1)


async def _run_all(
    remaining: Sequence[Mutant], console: Console, results: Path, minutes: float, *, baseline: bool
) -> None:
    until = time.monotonic() + minutes * 60.0
    async with EmbeddedPostgres() as postgres, EmbeddedLocalStack() as localstack:
        environment = {
            "TEST_DATABASE_URL": postgres.admin_url,
            "TEST_AWS_ENDPOINT_URL": localstack.endpoint_url,
            "EXPECT_FAILURE": "1",
            **os.environ,
        }
        passing: set[str] | None = set() if baseline else None
        for number, mutant in enumerate(remaining, 1):
            if time.monotonic() >= until:
                return
            console.print(f"{number}/{len(remaining)} {mutant.name}: {mutant.mistake}")
            found = await asyncio.to_thread(run_mutant, mutant, environment, passing)
            append(results, found)
            console.print(f"    {found.verdict} after {found.seconds:.0f} s {found.test or found.detail}")


def _table(results: Sequence[Result]) -> Table:
    table = Table("mutant", "verdict", "seconds", "test", "detail", title="mutants")
    for result in results:
        colour = "green" if result.verdict is Verdict.DETECTED else "bold red"
        row = (
            result.mutant,
            f"[{colour}]{result.verdict}[/]",
            f"{result.seconds:.0f}",
            result.test,
            result.detail[:100],
        )
        table.add_row(*row)
    return table


def _read(patch: Path) -> Mutant:
    mistake, test, *_ = patch.read_text().splitlines()
    if not test.startswith("test: "):
        raise typer.BadParameter(f"{patch.name}: the second line must name the test: `test: tests/...`")
    return Mutant(patch.stem, patch, mistake, test.removeprefix("test: "))


def _test(test: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "pytest", "-x", "-q", "--no-header", test], folder, environment)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _finding(output: str) -> str:
    lines = [line[2:].strip() for line in output.splitlines() if line.startswith("E ")]
    return next((line for line in lines if line.startswith("AssertionError")), lines[0] if lines else "a test failed")


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no output")


if __name__ == "__main__":
    typer.run(main)
