"""A forked service starts, runs and ends as one in a new interpreter."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import forking
from tests.support.fork_server import INHERITED, LIBRARIES
from tests.support.process_table import children, runs
from tests.support.processes import child
from tests.support.sources import ROOT
from tests.support.waiting import eventually
from tools.embedded.process import ChildProcess

MODULE = "tests.support.start_report"
# Of the fork and not of the program: its process, what it drew at random, and its parent.
OWN = ("differs", "parent")

pytestmark = pytest.mark.skipif(not forking.AVAILABLE, reason="services are not forked here")
both = pytest.mark.parametrize("forked", [False, True], ids=["new-interpreter", "fork"])


@asynccontextmanager
async def running(
    folder: Path, forked: bool, ending: str, *, grace_seconds: float = 10.0, **more: str
) -> AsyncIterator[ChildProcess]:
    """The program, which has written its report."""
    process = child(MODULE, {"ENDING": ending, **more}, folder, forked=forked)
    process.command = replace(process.command, grace_seconds=grace_seconds)
    process.start()
    try:

        async def written() -> bool:
            return process.status is not None or "waiting" in process.command.log.read_text()

        await eventually(written, timeout=30.0)
        yield process
    finally:
        await process.stop()


async def report(folder: Path, forked: bool) -> dict[str, Any]:
    async with running(folder, forked, "wait", GIVEN="1", HOME="/nowhere") as process:
        found: dict[str, Any] = json.loads(process.command.log.read_text().splitlines()[0])
        assert found["parent"] == process.reaper_pid
        assert children(process.reaper_pid) == [found["differs"][0]]
        return found


@pytest.mark.usefixtures("inherited")
async def test_the_program_finds_the_same(tmp_path: Path) -> None:
    new, fork, other = [await report(tmp_path, forked) for forked in (False, True, True)]
    assert all(mine != others for mine, others in zip(fork["differs"], other["differs"], strict=True))
    for found in (new, fork, other):
        for name in OWN:
            del found[name]
    assert new["environment"]["GIVEN"] == "1"
    assert new["project"] == []
    assert new == fork == other


@both
@pytest.mark.parametrize(
    ("ending", "number", "status", "said"),
    [
        ("wait", signal.SIGTERM, 128 + signal.SIGTERM, ""),
        ("wait", signal.SIGKILL, 128 + signal.SIGKILL, ""),
        ("wait", signal.SIGINT, 128 + signal.SIGINT, "KeyboardInterrupt"),
        ("exit", None, 7, ""),
        ("text", None, 1, "no"),
        ("raise", None, 1, "ValueError: no"),
    ],
)
async def test_it_ends_the_same(
    ending: str, number: signal.Signals | None, status: int, said: str, forked: bool, tmp_path: Path
) -> None:
    async with running(tmp_path, forked, ending) as process:
        if number is not None:
            (pid,) = children(process.reaper_pid)
            os.kill(pid, number)
        assert await process.wait(30) == status
        assert process.command.log.read_text().splitlines()[-1] == said or not said


@both
async def test_one_that_does_not_stop_is_killed_after_the_grace_period(forked: bool, tmp_path: Path) -> None:
    async with running(tmp_path, forked, "stubborn", grace_seconds=0.2) as process:
        assert await process.stop() == 128 + signal.SIGKILL


@both
async def test_killing_the_reaper_ends_it(forked: bool, tmp_path: Path) -> None:
    async with running(tmp_path, forked, "wait") as process:
        (pid,) = children(process.reaper_pid)
        os.kill(process.reaper_pid, signal.SIGKILL)
        assert await process.wait(30) == -signal.SIGKILL

        async def gone() -> bool:
            return not runs(pid)

        await eventually(gone, timeout=30.0)


@pytest.fixture(params=[signal.SIG_IGN, signal.SIG_DFL])
def inherited(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test process ignores signals, as one in the background does, or does not."""
    before = {number: signal.signal(number, request.param) for number in INHERITED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("inherited")
def test_a_command_finds_the_same_and_ends_the_same() -> None:
    environment = {**forking.command_environment(), "ENDING": "exit", "GIVEN": "1"}
    arguments = ["--read", "a b", "한"]
    command = [*forking.ISOLATED, forking.RUN.format(module=MODULE), str(ROOT), *arguments]
    new = subprocess.run(command, cwd="/", env=environment, input=b"given\n", capture_output=True, check=False)
    status, out, err = forking.run_command(MODULE, arguments, environment, "/", b"given\n")
    assert (status, err) == (new.returncode, new.stderr) == (7, b"no\n")
    found, other = [output.decode().splitlines() for output in (out, new.stdout)]
    assert found[1:] == other[1:] == ["given", ""]
    reports = [json.loads(lines[0]) for lines in (found, other)]
    for each in reports:
        # The pipes are of each.
        assert {name: target.partition(":")[0] for name, target in each.pop("files").items()} == dict.fromkeys(
            "012", "pipe"
        )
        for name in OWN:
            del each[name]
    assert reports[0] == reports[1]


def test_what_an_interpreter_reads_early_requires_a_new_one(tmp_path: Path) -> None:
    process = child(MODULE, {"ENDING": "exit", "PYTHONHASHSEED": "1"}, tmp_path, forked=True)
    with pytest.raises(AssertionError, match="PYTHONHASHSEED: read at the start of an interpreter"):
        process.start()


def test_only_libraries_are_imported_before_the_fork() -> None:
    ours = ("event_trio", "services", "infra", "tools", "tests")
    assert [name for names in LIBRARIES.values() for name in names if name.startswith(ours)] == []
