"""A mail server for tests, which accepts or rejects mails as configured."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tools.embedded.ports import LOOPBACK, free_port


@dataclass
class MailServer:
    """The received mails and the next replies; without replies mails are accepted."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    to_recipients: list[str] = field(default_factory=list)
    to_mails: list[str] = field(default_factory=list)
    takes_seconds: float = 0.0

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if self.to_recipients:
            return self.to_recipients.pop(0)
        self.recipients.append(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        await asyncio.sleep(self.takes_seconds)
        if self.to_mails:
            return self.to_mails.pop(0)
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        return "250 OK"


@contextmanager
def mail_server(*, port: int | None = None, utf8: bool = True) -> Iterator[MailServer]:
    """Run a server, with or without the extension SMTPUTF8."""
    server = MailServer(port or free_port())
    controller = Controller(server, hostname=LOOPBACK, port=server.port, enable_SMTPUTF8=utf8)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
