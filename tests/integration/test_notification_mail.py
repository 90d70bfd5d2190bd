"""Mails through a real SMTP server, and what its refusals lead to."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from services.notification.domain import Notice, Text
from services.notification.senders.sender import SendFailed, SendRefused
from services.notification.senders.smtp import Smtp, SmtpSender
from shared.aws import Aws
from shared.envelope import new_event_id
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


def notice(address: str = RECIPIENT, subject: str = "주문 접수") -> Notice:
    return Notice(key=new_event_id(), address=address, text=Text(locale="ko", subject=subject, body="감사합니다\n"))


def sender(port: int) -> SmtpSender:
    return SmtpSender(Smtp(host=LOOPBACK, port=port, sender=FROM, security="none"))


def by_mail(port: int) -> dict[str, Any]:
    return {"sender": "smtp", "smtp_host": LOOPBACK, "smtp_port": port, "smtp_from": FROM, "smtp_security": "none"}


async def test_a_mail_arrives_and_the_same_notice_has_the_same_id(server: MailServer) -> None:
    sent = notice()
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
        (["550 no such user"], [], SendRefused),
        (["450 later"], [], SendFailed),
        ([], ["554 spam"], SendRefused),
        ([], ["451 later"], SendFailed),
        ([], ["421 closing"], SendFailed),
    ],
)
async def test_a_refusal_is_for_good_or_for_now(
    recipients: list[str], mails: list[str], raised: type[Exception], server: MailServer
) -> None:
    server.to_recipients, server.to_mails = recipients, mails
    with pytest.raises(raised) as caught:
        await sender(server.port).send(notice())
    assert RECIPIENT not in str(caught.value)
    assert server.mails == []


@pytest.mark.parametrize("address", ["nobody", "a@b\r\nBcc: c@d", "", "a b@c", "x@y@z"])
async def test_what_is_no_address_is_refused_before_it_is_sent(address: str, server: MailServer) -> None:
    with pytest.raises(SendRefused):
        await sender(server.port).send(notice(address))
    assert server.mails == []


async def test_a_server_that_is_away_is_a_failure_for_now() -> None:
    with pytest.raises(SendFailed, match="cannot be used"):
        await sender(free_port()).send(notice())


async def test_a_flaky_server_costs_attempts_and_no_mail(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, server: MailServer
) -> None:
    server.to_recipients = ["450 later", "421 closing"]
    placed = Order().placed()
    async with notification_service(notifications_database, aws, prefix, **by_mail(server.port)) as service:
        await queue.send(placed)
        await service.settled(placed)
        [shown] = await service.items("/v1/notifications")
    assert shown["channel"] == "email"
    [mail] = server.mails
    assert mail["Message-ID"] == f"<{placed.id}@example.com>"


async def test_a_recipient_refused_for_good_and_an_outage_end_as_dead_letters(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, server: MailServer
) -> None:
    server.to_recipients = ["550 no such user", *["450 later"] * 50]
    refused, unlucky = Order().placed(), Order().placed()
    chosen = {**by_mail(server.port), "failure_policies": policies(QUICK)}
    async with notification_service(notifications_database, aws, prefix, **chosen) as service:
        await queue.send(refused)
        await service.settled(refused, "dead_letter")
        await queue.send(unlucky)
        await service.settled(unlucky, "dead_letter")
        letters = await service.items("/v1/dead-letters")
        assert await service.items("/v1/notifications") == []
    assert [(letter["event_id"], letter["reason"]) for letter in letters] == [
        (str(unlucky.id), "failed"),
        (str(refused.id), "rejected"),
    ]
    assert "450" in letters[0]["error"]
    assert letters[0]["attempts"] > 1
    assert RECIPIENT not in str(letters)
