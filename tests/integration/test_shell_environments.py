"""Tools in shells that are set up for something else: another Python's variables, no home, a terminal of ASCII."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import event_trio
from tests.support.sources import ROOT
from tools.embedded.process import base_environment

REASON = "주소가 틀렸다"
VARIABLES = {
    "PYTHONSAFEPATH": "1",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
    "PYTHONDEVMODE": "1",
    "LC_ALL": "C",
    "LANG": "C",
    "TERM": "dumb",
    "COLUMNS": "",
    "HOME": "/dev/null",
    "TMPDIR": "/nowhere",
}


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, str]:
    """A shell with another program's modules on the path of Python."""
    for module in ("httpx", "typer", "json", "sitecustomize", "tools"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('not the module that was meant')\n")
    return {**VARIABLES, "PYTHONPATH": str(tmp_path)}


async def test_the_command_runs_in_it_and_takes_what_is_typed(odd: dict[str, str], tmp_path: Path) -> None:
    made = await event_trio("token", "--keys", str(tmp_path / "keys"), "--subject", REASON, "--json", **odd)
    assert (made.status, made.err) == (0, "")
    assert made.data["subject"] == REASON


async def test_a_failure_is_told_in_it(odd: dict[str, str]) -> None:
    for command in (["hold", REASON, "--reason", REASON, "--yes"], ["status"]):
        told = await event_trio("outbox", *command, "--url", "http://127.0.0.1:9", **odd)
        assert told.status == 1
        assert told.err.startswith("error: cannot reach http://127.0.0.1:9")
        assert len(told.err.splitlines()) == 1


async def test_what_is_no_text_is_told() -> None:
    bytes_of_another_encoding = os.fsdecode(REASON.encode("euc-kr"))
    told = await event_trio("outbox", "hold", "x", "--reason", bytes_of_another_encoding, "--yes", "--url", "http://h")
    assert (told.status, told.out) == (1, "")
    assert told.err == "error: what was given is no UTF-8, so it cannot be sent\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "ALL_PROXY names a proxy that cannot be used for http://relay.example"),
        ({"EVENT_TRIO_RELAY_URL": "relay.example:8002"}, "the address 'relay.example:8002' must be a URL"),
    ],
)
async def test_surroundings_that_cannot_be_used_are_a_sentence(variables: dict[str, str], said: str) -> None:
    told = await event_trio("outbox", "status", **{"EVENT_TRIO_RELAY_URL": "http://relay.example", **variables})
    assert (told.status, told.out) == (1, "")
    assert told.err.startswith(f"error: {said}")


def test_make_hands_none_of_it_on(odd: dict[str, str], tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT / 'Makefile'}\n.PHONY: shown\nshown:\n\t@env\n")
    ran = subprocess.run(
        ["make", "-f", str(makefile), "--silent", "shown"],
        env={**os.environ, **odd, "PYTHON": "", "JOBS": "", "VIRTUAL_ENV": "/nowhere"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in ran.stdout.splitlines() if line.startswith(("PYTHON", "VIRTUAL_ENV")))
    assert {name: value for name, value in seen.items() if name != "PYTHON"} == {"PYTHONUTF8": "1"}


def test_services_are_started_as_modules_with_an_environment_of_their_own(
    odd: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    found = base_environment()
    assert {name for name in found if name.startswith("PYTHON")} == {"PYTHONUTF8"}
    assert Path(found["TMPDIR"]).is_dir()
