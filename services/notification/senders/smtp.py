"""Sends e-mails through an SMTP server."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import localtime
from typing import Literal
from uuid import UUID

import aiosmtplib

from event_trio.errors import ConfigurationError
from event_trio.mailbox import Mailbox, NotMailable, mailbox, parse_sender

from ..domain import OutboundMessage
from .sender import LEAST_SECONDS, SenderUnavailable, SendRejected
from .smtp_replies import classify_error, session_error

STEP_SECONDS = 10.0
"""Timeout of a single reply of the server."""
MAIL_SECONDS = 20.0
"""Timeout of a mail as a whole: shorter than the handler's, or a slow server would cost attempts."""
QUIT_SECONDS = 2.0

_FOLD = re.compile(r"\r\n[ \t]")


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """How to reach the mail server."""

    host: str
    port: int
    sender: str
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: str | None = None


class SmtpSender:
    """Opens one connection per mail. The Message-ID is derived from the event's id, so a repeated mail has the same.

    Raises ConfigurationError when the sender's address cannot be used.
    """

    channel = "email"

    def __init__(
        self, smtp: SmtpOptions, *, step_seconds: float = STEP_SECONDS, mail_seconds: float = MAIL_SECONDS
    ) -> None:
        self._smtp = smtp
        self._step_seconds = step_seconds
        self._mail_seconds = mail_seconds
        self._from = _sender_address(smtp.sender)

    async def send(self, message: OutboundMessage) -> None:
        try:
            to = mailbox(message.address)
        except NotMailable as error:
            raise SendRejected(f"the recipient's address cannot be used: {error}") from None
        mail = self._compose(message, to)
        session_open = False
        try:
            async with asyncio.timeout(self._mail_seconds):
                client = await self._open()
                session_open = True
                await self._transmit(client, mail, to)
        except TimeoutError:
            took = f"the mail server took longer than {self._mail_seconds:g} s"
            raise SenderUnavailable(LEAST_SECONDS, took, may_be_message=session_open) from None
        await self._leave(client)

    async def _open(self) -> aiosmtplib.SMTP:
        """Open a session; raises SenderUnavailable."""
        smtp = self._smtp
        client: aiosmtplib.SMTP | None = None
        try:
            client = aiosmtplib.SMTP(
                hostname=smtp.host,
                port=smtp.port,
                username=smtp.username,
                password=smtp.password,
                use_tls=smtp.security == "tls",
                start_tls=smtp.security == "starttls",
                timeout=self._step_seconds,
            )
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _greet(client)
        except BaseException as error:
            if client is not None:
                client.close()
            if isinstance(error, Exception):
                raise session_error(error) from None
            raise
        return client

    async def _transmit(self, client: aiosmtplib.SMTP, mail: EmailMessage, to: Mailbox) -> None:
        try:
            await client.send_message(mail, sender=self._from.addr_spec, recipients=[str(to)])
        except BaseException as error:
            client.close()
            meaning = classify_error(error) if isinstance(error, Exception) else None
            if meaning is None:
                raise
            raise meaning from None

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        """End the session. The mail is accepted already, so errors are ignored."""
        try:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()

    def _compose(self, message: OutboundMessage, to: Mailbox) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._from
        mail["Date"] = localtime()
        mail["Message-ID"] = message_id(message.key, self._from.addr_spec)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents automatic replies
        try:
            mail["To"] = Address(username=to.local, domain=to.domain)
            mail["Subject"] = message.text.subject
            mail.set_content(message.text.body)  # it resets the content headers
            mail["Content-Language"] = message.text.locale
            is_whole = _is_whole(mail, to)
        except Exception as error:  # noqa: BLE001 - the standard library's parsers raise undocumented errors
            raise SendRejected(f"the mail cannot be composed: {type(error).__name__}") from None
        if not is_whole:
            raise SendRejected("the mail cannot be composed: a header would differ from its value")
        return mail


def _is_whole(mail: EmailMessage, to: Mailbox) -> bool:
    """Whether no header continues as another one, and the mail is addressed to that mailbox only.

    The standard library decodes encoded words (RFC 2047) where none are allowed, including line ends, and writes them.
    """
    if any("\r" in str(value) or "\n" in str(value) for value in mail.values()):
        return False
    written = (SMTP if to.is_ascii else SMTPUTF8).fold("To", mail["To"])
    return _FOLD.sub("", written).replace(" ", "") == f"To:{to}\r\n"


def _sender_address(text: str) -> Address:
    try:
        return parse_sender(text)
    except ValueError as error:
        raise ConfigurationError(f"SMTP_FROM cannot be used: {error}") from None


def message_id(key: UUID, sender: str) -> str:
    """The Message-ID (RFC 5322, section 3.6.4) of a mail about an event."""
    return f"<{key}@{sender.rpartition('@')[2].rstrip('>') or 'localhost'}>"


async def _greet(client: aiosmtplib.SMTP) -> None:
    """Send EHLO or HELO now, so that a rejected host name is not attributed to the mail."""
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()
