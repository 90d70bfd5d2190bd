"""A service with invalid settings names them and exits."""

import pytest

from event_trio.settings import load
from services.notification.settings import NotificationSettings

URL = "postgresql://notification_api@127.0.0.1/notifications"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL is wrong"),
        ({"DATABASE_URL": URL, "SENDER": "pigeon"}, "SENDER is wrong"),
        ({"DATABASE_URL": URL, "SENDER": "smtp"}, "SMTP_HOST and SMTP_FROM must be set"),
        ({"DATABASE_URL": URL, "QUEUE_WAIT_SECONDS": "21"}, "QUEUE_WAIT_SECONDS is wrong"),
        ({"DATABASE_URL": URL, "DRAIN_SECONDS": "5"}, "must be above QUEUE_WAIT_SECONDS (20)"),
        ({"DATABASE_URL": URL, "FAILURE_POLICIES": "order.placed: ignroe"}, "did you mean 'ignore'"),
    ],
)
def test_missing_or_invalid_settings_are_named(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        load(NotificationSettings)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_the_defaults_are_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = load(NotificationSettings)
    assert settings.sender == "log"
    assert settings.http_port == 8001
