"""Settings that are inconsistent with each other are rejected at startup."""

import pytest
from pydantic_settings import BaseSettings

from event_trio.settings import load
from services.notification.settings import NotificationSettings
from services.order.settings import OrderSettings
from services.relay.settings import RelaySettings

COMMON = {"DATABASE_URL": "postgresql://somebody@127.0.0.1/somewhere", "TOPIC": "order-events"}
NAMES = ("DRAIN_SECONDS", "QUEUE_WAIT_SECONDS", "PUBLISH_CHECK_WAIT_SECONDS", "CALL_SECONDS", "CONSUMING")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in COMMON.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (NotificationSettings, {"DRAIN_SECONDS": "20"}, "QUEUE_WAIT_SECONDS"),
        (NotificationSettings, {"DRAIN_SECONDS": "20.5"}, "QUEUE_WAIT_SECONDS"),
        (NotificationSettings, {"DRAIN_SECONDS": "21"}, "QUEUE_WAIT_SECONDS"),
        (OrderSettings, {"DRAIN_SECONDS": "5.2"}, "QUEUE_WAIT_SECONDS"),
        (OrderSettings, {"QUEUE_WAIT_SECONDS": "10"}, "QUEUE_WAIT_SECONDS"),
        (RelaySettings, {"DRAIN_SECONDS": "5.2"}, "PUBLISH_CHECK_WAIT_SECONDS"),
        (RelaySettings, {"PUBLISH_CHECK_WAIT_SECONDS": "20"}, "PUBLISH_CHECK_WAIT_SECONDS"),
        (RelaySettings, {"DRAIN_SECONDS": "8", "CALL_SECONDS": "9", "LEASE_SECONDS": "60"}, "CALL_SECONDS"),
    ],
)
def test_inconsistent_settings_are_rejected(
    settings: type[BaseSettings],
    given: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        load(settings)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "DRAIN_SECONDS" in said


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        (NotificationSettings, {}),
        (NotificationSettings, {"DRAIN_SECONDS": "22"}),
        (NotificationSettings, {"DRAIN_SECONDS": "2", "QUEUE_WAIT_SECONDS": "1"}),
        (OrderSettings, {}),
        (OrderSettings, {"DRAIN_SECONDS": "1", "CONSUMING": "false"}),
        (RelaySettings, {}),
        (RelaySettings, {"DRAIN_SECONDS": "5", "PUBLISH_CHECK_WAIT_SECONDS": "1"}),
    ],
)
def test_consistent_settings_are_accepted(
    settings: type[BaseSettings], given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    load(settings)
