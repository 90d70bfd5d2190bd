"""Writes the output of its commands into a page: `python -m tools.page_output docs/how-to/follow-one-order.md`.

The system of the demo is started with fresh data. The `sh` blocks of the page run one after the other in one shell, and
the `text` block below each is replaced by what it printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from event_trio.errors import EventTrioError
from tools import declared_services
from tools.demo.ports import Ports
from tools.demo.system import run_system

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".run"
# A command and its output; commands without one are run, too.
COMMAND = re.compile(r"^```sh\n(?P<command>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
WIDTH = "150"
SECONDS = 180.0


def main() -> int:
    """The command. Its status is 0, or 1 if the system cannot be started or the shell fails."""
    parser = argparse.ArgumentParser(prog="python -m tools.page_output", description=__doc__)
    parser.add_argument("page", type=Path, help="the page, which is changed")
    page: Path = parser.parse_args().page
    text = page.read_text(encoding="utf-8")
    try:
        outputs = asyncio.run(_run(commands(text)))
    except EventTrioError as error:
        print(error, file=sys.stderr)
        return 1
    page.write_text(with_outputs(text, outputs), encoding="utf-8")
    print(page)
    return 0


def commands(text: str) -> list[str]:
    """The shell blocks of a page."""
    return [found["command"] for found in COMMAND.finditer(text)]


def with_outputs(text: str, outputs: list[str]) -> str:
    """The page with these outputs in place of its own; only blocks that have one get one."""
    given = iter(outputs)

    def replace(found: re.Match[str]) -> str:
        output = next(given)
        if found["output"] is None:
            return found[0]
        return f"```sh\n{found['command']}```\n\n```text\n{output}```\n"

    return COMMAND.sub(replace, text)


def script(commands: list[str], mark: str) -> str:
    """A script that runs the commands in one shell, and prints a mark after each."""
    return "".join(f"{{\n{command}}} 2>&1\necho {mark}\n" for command in commands)


def split(printed: str, mark: str) -> list[str]:
    """What each command of a script printed, without spaces at the ends of lines."""
    parts = printed.split(f"{mark}\n")[:-1]
    return ["".join(f"{line.rstrip()}\n" for line in part.strip("\n").splitlines()) for part in parts]


async def _run(commands: list[str]) -> list[str]:
    services = declared_services.load()
    async with run_system(FOLDER, services, Ports.from_environment(services), _step, keep=False):
        mark = f"--{secrets.token_hex(8)}--"
        shell = await asyncio.create_subprocess_exec(
            "bash",
            cwd=ROOT,
            env={**os.environ, "COLUMNS": WIDTH, "TZ": "UTC"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            printed, _ = await shell.communicate(script(commands, mark).encode())
        return split(printed.decode(), mark)


@contextmanager
def _step(title: str) -> Iterator[None]:
    print(f"{title} ...", file=sys.stderr)
    yield


if __name__ == "__main__":
    sys.exit(main())
