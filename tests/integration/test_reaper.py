"""No child process outlives the process that started it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.process_table import runs
from tests.support.waiting import eventually
from tools.embedded.process import ChildProcess, Command, base_environment

PARENT = """
    import sys, time
    from pathlib import Path
    from tools.embedded.process import ChildProcess, Command
    folder = Path(sys.argv[1])
    child = ChildProcess(Command("child", [sys.executable, "-c", sys.argv[2]], folder / "log", folder=folder,
                                 grace_seconds=0.5, remove=[folder / "litter"]))
    child.start()
    time.sleep(60)
"""
# A process with a child; both ignore SIGTERM and write their process ids to files.
STUBBORN = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pid = os.fork()
    name = "child" if pid == 0 else "parent"
    with open(name + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(name + ".part", name)
    time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    (tmp_path / "litter").mkdir()
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), textwrap.dedent(STUBBORN)]
    with subprocess.Popen(command, env={**base_environment(), "PYTHONPATH": os.getcwd()}) as process:
        yield process
        process.kill()


async def test_killing_the_parent_ends_its_grandchildren(parent: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    pids = [int(await eventually(partial(_text, tmp_path / name))) for name in ("parent", "child")]
    assert all(runs(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    await eventually(lambda: _gone(pids), timeout=10)
    await eventually(lambda: _removed(tmp_path / "litter"))


@pytest.mark.skipif(sys.platform != "linux", reason="macOS cannot signal a process when its parent dies")
async def test_killing_the_reaper_ends_the_command(tmp_path: Path) -> None:
    child = _child(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    child.start()
    await eventually(lambda: _text(tmp_path / "log"))
    pids = [int(pid) for pid in Path(f"/proc/{child.reaper_pid}/task/{child.reaper_pid}/children").read_text().split()]
    assert pids
    os.kill(child.reaper_pid, signal.SIGKILL)
    await eventually(lambda: _gone(pids))
    await child.stop()


async def test_stop_lets_the_command_exit_in_order(tmp_path: Path) -> None:
    child = _child(
        tmp_path,
        """
        import signal, sys, time
        def leave(*_):
            print("left in order", flush=True)
            sys.exit(7)
        signal.signal(signal.SIGTERM, leave)
        print("up", flush=True)
        time.sleep(60)
        """,
    )
    child.start()
    await eventually(lambda: _text(tmp_path / "log"))
    assert child.status is None
    assert await child.stop() == 7
    assert "left in order" in child.last_lines()


async def test_the_status_is_that_of_the_command(tmp_path: Path) -> None:
    child = _child(tmp_path, "raise SystemExit(3)")
    child.start()
    assert await child.wait(10) == 3
    assert await child.stop() == 3


async def test_a_missing_command_is_reported_in_the_log(tmp_path: Path) -> None:
    child = ChildProcess(Command("ghost", [str(tmp_path / "ghost")], tmp_path / "log"))
    child.start()
    assert await child.wait(10) == 127
    await child.stop()
    assert "cannot start" in str(child.failure("did not start"))


async def test_a_command_sees_only_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "somebody else's")
    child = _child(tmp_path, "import os; print(sorted(os.environ.get(n, '-') for n in ('DATABASE_URL', 'GIVEN')))")
    child.start()
    assert await child.wait(10) == 0
    await child.stop()
    assert child.last_lines().strip() == "['-', 'yes']"


def _child(folder: Path, program: str) -> ChildProcess:
    environment = {**base_environment(), "GIVEN": "yes"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return ChildProcess(Command("child", command, folder / "log", environment=environment, grace_seconds=2.0))


async def _gone(pids: list[int]) -> bool:
    return not any([await asyncio.to_thread(runs, pid) for pid in pids])


async def _removed(path: Path) -> bool:
    return not path.exists()


async def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
