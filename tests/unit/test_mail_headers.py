"""No value of a mail header can add another header."""

from email.message import EmailMessage
from uuid import UUID

import pytest
from aiosmtplib.email import flatten_message

from event_trio.mailbox import Mailbox, mailbox
from services.notification.domain import MessageText, OutboundMessage
from services.notification.senders.sender import SendRejected
from services.notification.senders.smtp import SmtpOptions, SmtpSender

KEY = UUID(int=7)
INJECTION = "=?utf-8?b?DQpCY2M6IHhAeS56DQpYOiA=?="
"""Decodes to a line end, a Bcc header, and another header."""
LONG_DOMAIN = ".".join(["b" * 60] * 3)


def composed(to: Mailbox, *, subject: str = "Your order", locale: str = "en") -> EmailMessage:
    sender = SmtpSender(SmtpOptions("127.0.0.1", 25, "Shop <shop@example.com>"))
    return sender._compose(OutboundMessage(KEY, "unused@example.com", MessageText(locale, subject, "Hello.\n")), to)


@pytest.mark.parametrize("local", [INJECTION, "=?us-ascii?q?x=0D=0ASubject:_y=0D=0A=0D=0Abody?=", "=?utf-8?q?eve?="])
def test_an_address_with_an_encoded_word_is_rejected_when_composing(local: str) -> None:
    with pytest.raises(SendRejected, match="a header would differ from its value"):
        composed(Mailbox(local, "b.co"))


async def test_an_invalid_stored_recipient_is_rejected_without_a_connection() -> None:
    outbound = OutboundMessage(KEY, f"{INJECTION}@b.co", MessageText("en", "Your order", "Hello."))
    with pytest.raises(SendRejected, match="the recipient's address cannot be used") as caught:
        await SmtpSender(SmtpOptions("127.0.0.1", 1, "shop@example.com")).send(outbound)
    assert "b.co" not in str(caught.value)


@pytest.mark.parametrize(
    "texts", [{"subject": f"Order {INJECTION} x"}, {"locale": INJECTION}, {"subject": "a\r\nBcc: b"}]
)
def test_no_text_adds_a_header(texts: dict[str, str]) -> None:
    with pytest.raises(SendRejected):
        composed(mailbox("ada@example.com"), **texts)


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "o'neil+tea=1/x?y@example.co.uk",
        "주문@예시.com",
        f"{'a' * 64}@{LONG_DOMAIN}",
        f"{'가' * 21}@{LONG_DOMAIN}",
    ],
)
def test_a_mail_is_addressed_to_its_recipient(address: str) -> None:
    to = mailbox(address)
    written = flatten_message(composed(to, subject="주문 접수 " * 30), utf8=not to.is_ascii)
    assert f"\r\nTo: {to}\r\n" in written.replace(b"\r\n ", b" ").replace(b"  ", b" ").decode()
    assert b"bcc" not in written.lower()
    assert b"\r\nContent-Language: en\r\n" in written
