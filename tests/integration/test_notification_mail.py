"""Mails over a real SMTP server, and the consequences of its rejections."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from event_trio.broker.aws import Aws
from event_trio.clock import SystemClock
from event_trio.envelope import uuid7
from event_trio.errors import ConfigurationError
from services.notification.domain import MessageText, OutboundMessage
from services.notification.senders.circuit_breaking import CircuitBreakingSender
from services.notification.senders.sender import SenderUnavailable, SendFailed, SendRejected
from services.notification.senders.smtp import SmtpOptions, SmtpSender
from tests.support.databases import TestDatabase
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.mail import MailServer, mail_server
from tests.support.notification_service import QUICK, RECIPIENT, Order, notification_service, policies, queue_name
from tools.embedded.ports import LOOPBACK, free_port

FROM = "shop@example.com"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as started:
        yield started


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
async def queue(aws: Aws, prefix: str) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws, queue_name(prefix)) as made:
        yield made


def outbound(address: str = RECIPIENT, subject: str = "주문 접수") -> OutboundMessage:
    return OutboundMessage(
        key=uuid7(), address=address, text=MessageText(locale="ko", subject=subject, body="감사합니다\n")
    )


def sender(port: int) -> SmtpSender:
    return SmtpSender(SmtpOptions(host=LOOPBACK, port=port, sender=FROM, security="none"))


def by_mail(port: int) -> dict[str, Any]:
    return {"sender": "smtp", "smtp_host": LOOPBACK, "smtp_port": port, "smtp_from": FROM, "smtp_security": "none"}


async def test_a_repeated_mail_has_the_same_message_id(server: MailServer) -> None:
    sent = outbound()
    await sender(server.port).send(sent)
    await sender(server.port).send(sent)
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"] == f"<{sent.key}@example.com>"
    assert (first["To"], first["From"], first["Subject"]) == (RECIPIENT, FROM, "주문 접수")
    assert first.get_content().splitlines() == ["감사합니다"]
    assert server.recipients == [RECIPIENT, RECIPIENT]


@pytest.mark.parametrize(
    ("recipients", "mails", "raised"),
    [
        (["550 no such user"], [], SendRejected),
        (["450 later"], [], SendFailed),
        ([], ["554 spam"], SendRejected),
        ([], ["451 later"], SendFailed),
        (["421 closing"], [], SenderUnavailable),
        ([], ["421 closing"], SenderUnavailable),
        ([], ["452 4.3.1 the disk is full"], SenderUnavailable),
    ],
)
async def test_rejections_are_permanent_or_temporary_or_of_the_server(
    recipients: list[str], mails: list[str], raised: type[Exception], server: MailServer
) -> None:
    server.to_recipients, server.to_mails = recipients, mails
    with pytest.raises(raised) as caught:
        await sender(server.port).send(outbound())
    assert RECIPIENT not in str(caught.value)
    assert server.mails == []


@pytest.mark.parametrize("address", ["nobody", "a@b\r\nBcc: c@d", "", "a b@c", "x@y@z", "a@[b", "a\x00@b", "a@b." * 99])
async def test_an_invalid_address_is_rejected_before_the_connection(address: str, server: MailServer) -> None:
    with pytest.raises(SendRejected):
        await sender(server.port).send(outbound(address))
    assert server.mails == []


async def test_an_international_domain_needs_no_smtputf8(server: MailServer) -> None:
    await sender(server.port).send(outbound("ada@예시.com"))
    assert server.recipients == ["ada@xn--vv4b11d.com"]
    assert server.mails[0]["To"] == "ada@xn--vv4b11d.com"


async def test_without_smtputf8_only_international_recipients_are_rejected() -> None:
    with mail_server(utf8=False) as plain:
        guarded = CircuitBreakingSender(sender(plain.port), SystemClock())
        for _ in range(6):
            with pytest.raises(SendRejected, match="SMTPUTF8"):
                await guarded.send(outbound("주문@예시.com"))
        for address in (RECIPIENT, "ada@예시.com"):
            await guarded.send(outbound(address))
    assert plain.recipients == [RECIPIENT, "ada@xn--vv4b11d.com"]


async def test_with_smtputf8_international_recipients_are_accepted(server: MailServer) -> None:
    await sender(server.port).send(outbound("주문@예시.com"))
    assert server.recipients == ["주문@xn--vv4b11d.com"]


@pytest.mark.parametrize("text", ["a\r\nBcc: all@example.com", "\ud800", "\x00 control \x1b", "x" * 5000, "한" * 2000])
async def test_no_subject_affects_other_mails(text: str, server: MailServer) -> None:
    """Such a mail is sent or permanently rejected, and contains no additional header."""
    guarded = CircuitBreakingSender(sender(server.port), SystemClock())
    for _ in range(6):
        with contextlib.suppress(SendRejected):
            await guarded.send(outbound(subject=text))
    await guarded.send(outbound())
    assert {mail["Bcc"] for mail in server.mails} == {None}
    assert set(server.recipients) == {RECIPIENT}


async def test_an_unreachable_server_is_unavailable() -> None:
    with pytest.raises(SenderUnavailable, match="cannot be used"):
        await sender(free_port()).send(outbound())


@pytest.mark.parametrize("greeting", [b"", b"421 busy\r\n", b"554 no mail here\r\n", b"what?\r\n", b"220 hi\r\n"])
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_a_server_that_closes_the_connection_is_unavailable(
    greeting: bytes, security: Literal["none", "starttls", "tls"]
) -> None:
    """It sends nothing more, or closes the connection, within the timeout of a mail."""

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(greeting)

    hanging = await asyncio.get_running_loop().create_server(Greeting, LOOPBACK, 0)
    async with hanging:
        smtp = SmtpOptions(host=LOOPBACK, port=hanging.sockets[0].getsockname()[1], sender=FROM, security=security)
        with pytest.raises(SenderUnavailable):
            await SmtpSender(smtp, step_seconds=0.1, mail_seconds=0.2).send(outbound())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"smtp_security": "starttls"}, "SMTPException"),
        ({"smtp_username": "shop", "smtp_password": "wrong"}, "SMTPException"),
    ],
)
async def test_a_server_without_the_configured_security_is_unavailable(
    more: dict[str, str], message: str, server: MailServer
) -> None:
    asked = {name.removeprefix("smtp_"): value for name, value in more.items()}
    wanting = SmtpSender(replace(SmtpOptions(LOOPBACK, server.port, FROM, "none"), **asked))  # type: ignore[arg-type]
    with pytest.raises(SenderUnavailable, match=message):
        await wanting.send(outbound())


async def test_a_slow_server_is_unavailable_before_the_handler_times_out(server: MailServer) -> None:
    slow = SmtpSender(SmtpOptions(LOOPBACK, server.port, FROM, "none"), mail_seconds=0.3)
    server.takes_seconds = 1.0
    with pytest.raises(SenderUnavailable, match="longer than") as caught:
        await slow.send(outbound())
    assert caught.value.may_be_message


@pytest.mark.parametrize(
    "address", ["", "shop", "a@b, c@d", "shop@[b", "shop@example.com\r\nBcc: a@b", "가게@example.com"]
)
def test_an_invalid_sender_address_is_reported_at_startup(address: str) -> None:
    with pytest.raises(ConfigurationError, match="SMTP_FROM"):
        SmtpSender(SmtpOptions(LOOPBACK, 25, address))


async def test_the_sender_may_have_a_display_name(server: MailServer) -> None:
    named = SmtpSender(SmtpOptions(LOOPBACK, server.port, "Tee & Co <shop@예시.com>", "none"))
    await named.send(outbound())
    assert server.mails[0]["From"] == '"Tee & Co" <shop@xn--vv4b11d.com>' or "xn--vv4b11d" in server.mails[0]["From"]


async def test_a_flaky_server_costs_attempts_and_loses_no_mail(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, server: MailServer
) -> None:
    server.to_recipients = ["450 later", "421 closing"]
    placed = Order().placed()
    async with notification_service(notifications_database, aws, prefix, **by_mail(server.port)) as service:
        await queue.send(placed)
        await service.completed(placed)
        [shown] = await service.items("/v1/notifications")
    assert shown["channel"] == "email"
    [mail] = server.mails
    assert mail["Message-ID"] == f"<{placed.id}@example.com>"


async def test_an_outage_of_the_mail_server_costs_no_attempt(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue
) -> None:
    """Each failure is a retry of the only event, whose policy has one attempt."""
    placed, port = Order().placed(), free_port()
    chosen = {**by_mail(port), "failure_policies": policies("retry(attempts=1) then dead_letter")}
    async with notification_service(notifications_database, aws, prefix, **chosen) as service:
        await queue.send(placed)
        down = await service.signals.wait("consumer.postponed", count=2, timeout=20)
        assert "DependencyUnavailable" in str(down["error"])
        with mail_server(port=port) as server:
            await service.completed(placed)
    assert len(server.mails) == 1


async def test_permanently_rejected_mails_publish_a_failure_and_block_no_other_order(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, server: MailServer
) -> None:
    """Recipients that were accepted before addresses were validated: more than the failures that open the breaker."""
    bad = [Order().placed(recipient=address) for address in ["a@[b"] * 6 + ["a@b_c.de", '"a b"@c.de']]
    good = Order().placed(recipient="ada@예시.com")
    chosen = {**by_mail(server.port), "failure_policies": policies("retry(attempts=3) then publish_failure")}
    async with notification_service(notifications_database, aws, prefix, **chosen) as service:
        for event in (*bad, good):
            await queue.send(event)
        for event in bad:
            await service.completed(event, "failure_published")
        await service.completed(good)
    assert server.recipients == ["ada@xn--vv4b11d.com"]


async def test_rejected_recipients_and_long_outages_end_as_dead_letters(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, server: MailServer
) -> None:
    server.to_recipients = ["550 no such user", *["450 later"] * 50]
    refused, unlucky = Order().placed(), Order().placed()
    chosen = {**by_mail(server.port), "failure_policies": policies(QUICK)}
    async with notification_service(notifications_database, aws, prefix, **chosen) as service:
        await queue.send(refused)
        await service.completed(refused, "dead_letter")
        await queue.send(unlucky)
        await service.completed(unlucky, "dead_letter")
        letters = await service.items("/v1/dead-letters")
        assert await service.items("/v1/notifications") == []
    assert [(letter["event_id"], letter["reason"]) for letter in letters] == [
        (str(unlucky.id), "failed"),
        (str(refused.id), "rejected"),
    ]
    assert "450" in letters[0]["error"]
    assert letters[0]["attempts"] > 1
    assert RECIPIENT not in str(letters)
