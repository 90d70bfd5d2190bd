"""Settings from the environment: empty is unset, and invalid values are reported at startup."""

from typing import Any

import pytest
from pydantic_settings import BaseSettings

from event_trio.settings import EnvironmentSettings, forget_empty_variables, load
from services.notification.settings import NotificationSettings
from services.order.settings import OrderMigrationSettings, OrderSettings
from services.relay.settings import RelaySettings
from tools.reference.settings import settings_classes

NEEDED = {
    "DATABASE_URL": "postgresql://u@127.0.0.1/d",
    "MIGRATION_DATABASE_URL": "postgresql://u@127.0.0.1/d",
    "TOPIC": "order-events",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
}
every_class = pytest.mark.parametrize("settings", settings_classes(), ids=lambda found: found.__name__)


@pytest.fixture(autouse=True)
def needed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in settings_classes():
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def error_of(settings: type[BaseSettings], capsys: pytest.CaptureFixture[str], **given: str) -> str:
    """The message for an invalid setting."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as left:
            load(settings)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert all(line.startswith("error: ") for line in said.splitlines())
    return said


@every_class
def test_every_process_reads_its_settings_in_the_same_way(settings: type[BaseSettings]) -> None:
    assert issubclass(settings, EnvironmentSettings)


@every_class
@pytest.mark.parametrize("blank", ["", " ", "\t", "\n"])
def test_an_empty_variable_counts_as_unset(
    settings: type[BaseSettings], blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load(settings)
    for name, field in settings.model_fields.items():
        if not field.is_required() and name.upper() not in NEEDED and not (blank == " " and "password" in name):
            monkeypatch.setenv(name.upper(), blank if "password" not in name else blank.strip(" \t"))
    assert load(settings) == expected


@every_class
def test_an_empty_variable_that_is_needed_is_missing(
    settings: type[BaseSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    needed = [name.upper() for name, field in settings.model_fields.items() if field.is_required()]
    if not needed:
        assert load(settings)
        return
    said = error_of(settings, capsys, **dict.fromkeys(needed, " "))
    assert [name for name in needed if f"{name} is not set" not in said] == []


@every_class
@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "many", "-1"])
def test_nan_and_infinity_are_rejected(
    settings: type[BaseSettings], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [name.upper() for name, field in settings.model_fields.items() if field.annotation in (int, float)]
    if numbers:
        said = error_of(settings, capsys, **dict.fromkeys(numbers, number))
        assert [name for name in numbers if f"{name} is wrong" not in said] == []


def test_surrounding_whitespace_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f" {NEEDED['DATABASE_URL']}\n")
    monkeypatch.setenv("DATABASE_PASSWORD", " p@ss \n")
    monkeypatch.setenv("TOPIC", "order-events ")
    found = load(RelaySettings)
    assert found.topic == "order-events"
    assert found.database_url.get_secret_value() == "postgresql://u:%20p%40ss%20@127.0.0.1:5432/d"


@pytest.mark.parametrize(("settings", "name"), [(RelaySettings, "LISTENER_DATABASE_URL"), (OrderSettings, None)])
def test_a_password_may_be_separate_from_the_url(
    settings: type[Any], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "a#b")
    if name:
        monkeypatch.setenv(name, NEEDED["DATABASE_URL"])
    found = load(settings)
    for field in filter(None, ("database_url", name and name.lower())):
        assert getattr(found, field).get_secret_value() == "postgresql://u:a%23b@127.0.0.1:5432/d"
    assert "a#b" not in repr(found)


def test_the_owner_s_password_may_be_separate_from_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_DATABASE_PASSWORD", "a/b")
    url = load(OrderMigrationSettings).migration_database_url.get_secret_value()
    assert url == "postgresql://u:a%2Fb@127.0.0.1:5432/d"


@pytest.mark.parametrize(
    ("settings", "name", "values"),
    [
        (RelaySettings, "DATABASE_URL", ["mysql://u@h/d", "postgresql://u@h/d?sslmode=odd", "postgresql://u:a#b@h/d"]),
        (RelaySettings, "LISTENER_DATABASE_URL", ["postgresql://h/d", "postgresql://u@h/d?x=1", "h"]),
        (OrderMigrationSettings, "MIGRATION_DATABASE_URL", ["postgresql://u@h", "postgresql://u:100%@h/d"]),
        (OrderMigrationSettings, "ORDER_API_PASSWORD", ["비밀", "a\tb"]),
        (RelaySettings, "AWS_ENDPOINT_URL", ["localhost:4566", "http://", "http://h:high", "ftp://h", "http://h h"]),
        (RelaySettings, "AWS_REGION", ["mars", "us east 1", "us-east-1/x", "US-EAST-1"]),
        (RelaySettings, "TOPIC", ["Order Events", "order_events", "order-events.fifo", "-", "-a", "a-"]),
        (RelaySettings, "TOPOLOGY_PREFIX", ["a_b", "x" * 31]),
        (RelaySettings, "NEXT_EVENT_AFTER", ["soon"]),
        (RelaySettings, "LOG_LEVEL", ["loud"]),
        (RelaySettings, "HTTP_HOST", ["http://0.0.0.0", "127.0.0.1:80", "[::1]", "a b", "*"]),
        (RelaySettings, "HTTP_PORT", ["65536", "-1", "http", "80.5"]),
        (OrderSettings, "PUBLIC_URL", ["orders", "http://h:99999", "http://h?x", "http://u:p@h", "http://h#x"]),
        (OrderSettings, "NOTIFICATION_URL", ["//h", "http:/h", "http://[::1"]),
        (OrderSettings, "PAYLOAD_ORIGINS", ["http://a,b", "file:///etc", "http://a?x"]),
        (OrderSettings, "PAYLOAD_TOKEN", ["a b", "비밀", "a\nb"]),
        (OrderSettings, "FAILURE_POLICIES", ["order.placed", "notification.sent: sometimes"]),
        (OrderSettings, "CONSUMING", ["perhaps"]),
        (NotificationSettings, "SMTP_HOST", ["smtp://h", "h:25", "h h"]),
        (NotificationSettings, "SMTP_PORT", ["0", "25 or 587"]),
        (NotificationSettings, "SMTP_FROM", ["shop", "@h", "a@b, c@d", "a@[b", "a@b\nBcc: c@d", "Shop <shop>"]),
        (
            NotificationSettings,
            "SMTP_FROM",
            ["Shop: a@b;", "a@[10.0.0.1]", '"a b"@example.com', "가게@example.com"],
        ),
        (NotificationSettings, "SMTP_SECURITY", ["ssl", "STARTTLS"]),
        (NotificationSettings, "SMTP_USERNAME", ["alone"]),
    ],
)
def test_invalid_values_are_reported_at_startup(
    settings: type[BaseSettings], name: str, values: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values:
        assert f"{name} " in error_of(settings, capsys, **{name: value}), value


@pytest.mark.parametrize("sender", ["shop@example.com", "Shop <shop@example.com>", '"The Shop" <shop@localhost>'])
def test_a_sender_may_have_a_display_name(sender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_FROM", sender)
    assert load(NotificationSettings).smtp_from == sender


def test_empty_variables_are_unset_for_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "PGSSLMODE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    forget_empty_variables()
    assert not {"AWS_PROFILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "PGSSLMODE"} & set(os.environ)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "x"
