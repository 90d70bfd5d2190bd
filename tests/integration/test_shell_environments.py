"""The tools in unusual shells: variables of another Python, no home folder, an ASCII terminal."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import event_trio_in_shell
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
def unusual(tmp_path: Path) -> dict[str, str]:
    """A shell with modules of another program on the path of Python."""
    for module in ("httpx", "typer", "json", "sitecustomize", "tools"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('the wrong module')\n")
    return {**VARIABLES, "PYTHONPATH": str(tmp_path)}


async def test_the_command_accepts_text_in_any_language(unusual: dict[str, str], tmp_path: Path) -> None:
    made = await event_trio_in_shell(
        "token", "--keys", str(tmp_path / "keys"), "--subject", REASON, "--json", **unusual
    )
    assert (made.status, made.err) == (0, "")
    assert made.data["subject"] == REASON


async def test_a_failure_is_one_line(unusual: dict[str, str]) -> None:
    for command in (["hold", REASON, "--reason", REASON, "--yes"], ["status"]):
        ran = await event_trio_in_shell("outbox", *command, "--url", "http://127.0.0.1:9", **unusual)
        assert ran.status == 1
        assert ran.err.startswith("error: cannot reach http://127.0.0.1:9")
        assert len(ran.err.splitlines()) == 1


async def test_arguments_that_are_not_utf_8_are_rejected() -> None:
    bytes_of_another_encoding = os.fsdecode(REASON.encode("euc-kr"))
    command = ["hold", "x", "--reason", bytes_of_another_encoding, "--yes", "--url", "http://h"]
    ran = await event_trio_in_shell("outbox", *command)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "error: the arguments are not valid UTF-8\n"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"ALL_PROXY": "socks5://127.0.0.1:9"},
            "ALL_PROXY is not a usable proxy for http://relay.example",
        ),
        ({"EVENT_TRIO_RELAY_URL": "relay.example:8002"}, "the address 'relay.example:8002' must be a URL"),
    ],
)
async def test_an_unusable_environment_is_reported(variables: dict[str, str], message: str) -> None:
    given = {"EVENT_TRIO_RELAY_URL": "http://relay.example", **variables}
    ran = await event_trio_in_shell("outbox", "status", **given)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {message}")


def test_make_does_not_pass_the_variables_on(unusual: dict[str, str], tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT / 'Makefile'}\n.PHONY: shown\nshown:\n\t@env\n")
    ran = subprocess.run(
        ["make", "-f", str(makefile), "--silent", "shown"],
        env={**os.environ, **unusual, "PYTHON": "", "JOBS": "", "VIRTUAL_ENV": "/nowhere"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in ran.stdout.splitlines() if line.startswith(("PYTHON", "VIRTUAL_ENV")))
    assert {name: value for name, value in seen.items() if name != "PYTHON"} == {"PYTHONUTF8": "1"}


def test_services_have_their_own_environment(unusual: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in unusual.items():
        monkeypatch.setenv(name, value)
    found = base_environment()
    assert {name for name in found if name.startswith("PYTHON")} == {"PYTHONUTF8"}
    assert Path(found["TMPDIR"]).is_dir()
