"""What `event-trio event show` says when it finds nothing."""

import pytest
from typer.testing import CliRunner

from tools.cli.addresses import VARIABLE
from tools.cli.main import app


def test_nothing_is_said_of_an_event_when_no_process_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "order=http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["event", "show", "01999999-0000-7000-8000-000000000000"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "error: no event was found, because no process answers"
