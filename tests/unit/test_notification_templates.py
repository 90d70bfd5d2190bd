"""The texts of notifications, by language."""

from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from event_trio.contracts.orders import OrderCancelled, OrderConfirmed, OrderedLine, OrderEvent, OrderPlaced
from services.notification.handlers import HANDLED
from services.notification.rendering import FOLDER, RenderingFailed, Templates

ORDER = UUID("01981a1e-7c5b-7d4e-8a3c-2f1b0c9d8e7f")
PLACED = OrderPlaced(
    order_id=ORDER,
    customer_id="customer-1",
    recipient="ada@example.com",
    locale="en",
    currency="EUR",
    lines=(OrderedLine(sku="TEA-1", quantity=2, unit_price=Decimal("12.50")),),
    total=Decimal("25.00"),
)
CANCELLED = OrderCancelled(order_id=ORDER, customer_id="customer-1", reason="fish & <chips>")


def example(payload: type[OrderEvent]) -> OrderEvent:
    examples: dict[type[OrderEvent], OrderEvent] = {OrderPlaced: PLACED, OrderCancelled: CANCELLED}
    return examples.get(payload) or payload(order_id=ORDER, customer_id="customer-1")


@pytest.mark.parametrize("payload", HANDLED)
@pytest.mark.parametrize("locale", ["en", "ko"])
def test_every_handled_event_has_a_text_in_every_language(payload: type[OrderEvent], locale: str) -> None:
    text = Templates().render(example(payload), locale)
    assert text.locale == locale
    assert str(ORDER) in text.subject
    assert "\n" not in text.subject
    assert text.body.strip()
    assert any(ord(character) > 0x1100 for character in text.body) == (locale == "ko")


def test_every_template_has_an_event() -> None:
    wanted = {f"{payload.type}.txt" for payload in HANDLED}
    for language in Templates().languages:
        assert {found.name for found in (FOLDER / language).iterdir()} == wanted


@pytest.mark.parametrize(
    ("locale", "used"), [("ko-KR", "ko"), ("KO", "ko"), ("en-GB", "en"), ("fr", "en"), ("", "en"), ("../en", "en")]
)
def test_an_unknown_locale_falls_back_to_english(locale: str, used: str) -> None:
    confirmed = OrderConfirmed(order_id=ORDER, customer_id="customer-1")
    assert Templates().render(confirmed, locale).locale == used


def test_the_order_is_listed_and_text_is_not_escaped() -> None:
    assert "2 x TEA-1, 12.50 EUR each\n\nTotal: 25.00 EUR" in Templates().render(PLACED, "en").body
    assert "fish & <chips>" in Templates().render(CANCELLED, "en").body


@pytest.mark.parametrize(
    "template", [None, "Order {{ event.nothing }}", "Order {% if", "{{ event.order_id / 2 }}", "{{ event.order_id() }}"]
)
def test_a_broken_template_is_reported_without_quoting_the_event(template: str | None, tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    if template is not None:
        (tmp_path / "en" / "order.placed.txt").write_text(template)
    with pytest.raises(RenderingFailed, match=r"en/order\.placed\.txt") as caught:
        Templates(tmp_path).render(PLACED, "en")
    assert str(ORDER) not in str(caught.value)


def test_a_binary_template_is_reported(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "order.placed.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(RenderingFailed):
        Templates(tmp_path).render(PLACED, "en")
