"""Numbers out of bounds are rejected at startup."""

import pytest
from pydantic_settings import BaseSettings

from event_trio.settings import load
from services.notification.settings import NotificationSettings
from services.relay.settings import RelaySettings

COMMON = {"DATABASE_URL": "postgresql://somebody@127.0.0.1/somewhere", "TOPIC": "order-events"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMMON.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        *((RelaySettings, "AUDIT_RETENTION_DAYS", value) for value in ("0", "-1", "3651", "1e300", "inf", "nan")),
        *((RelaySettings, "SWEEP_SECONDS", value) for value in ("0", "0.001", "1e-300", "3601")),
        *((RelaySettings, "POLL_IDLE_SECONDS", value) for value in ("0", "0.001", "1e-300", "301")),
        *((RelaySettings, "CALL_SECONDS", value) for value in ("0", "1e-300", "61")),
        *((RelaySettings, "RETENTION_HOURS", value) for value in ("0", "87601")),
        *((NotificationSettings, "DRAIN_SECONDS", value) for value in ("0", "1e-300", "301")),
    ],
)
def test_a_number_out_of_bounds_is_reported(
    settings: type[BaseSettings],
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        load(settings)
    assert left.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {name} is wrong: ")


@pytest.mark.parametrize(
    ("name", "value"), [("AUDIT_RETENTION_DAYS", "3650"), ("SWEEP_SECONDS", "0.01"), ("POLL_IDLE_SECONDS", "0.01")]
)
def test_bounds_are_inclusive(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load(RelaySettings), name.lower()) == float(value)
