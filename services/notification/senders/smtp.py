"""Sends mails through an SMTP server."""

from __future__ import annotations

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime
from typing import Literal
from uuid import UUID

import aiosmtplib

from ..domain import Notice
from .sender import SendFailed, SendRefused

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Smtp:
    """Where the mail server is and how to talk to it."""

    host: str
    port: int
    sender: str
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: str | None = None


class SmtpSender:
    """One connection per mail. The Message-ID is made of the event's id: a mail sent twice carries the same one."""

    channel = "email"

    def __init__(self, smtp: Smtp) -> None:
        self._smtp = smtp

    async def send(self, notice: Notice) -> None:
        mail = self._compose(notice)
        smtp = self._smtp
        try:
            await aiosmtplib.send(
                mail,
                sender=smtp.sender,
                recipients=[notice.address],
                hostname=smtp.host,
                port=smtp.port,
                username=smtp.username,
                password=smtp.password,
                use_tls=smtp.security == "tls",
                start_tls=smtp.security == "starttls",
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = sorted({refused.code for refused in error.recipients})
            raise _refused_or_failed("the recipient", min(codes)) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refused_or_failed("the mail", error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise SendFailed(f"the mail server answered {error.code}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise SendFailed(f"the mail server cannot be used: {type(error).__name__}") from None

    def _compose(self, notice: Notice) -> EmailMessage:
        mail = EmailMessage()
        try:
            mail["To"] = Address(addr_spec=notice.address)
            mail["Subject"] = notice.text.subject
        except (MessageError, ValueError, IndexError):
            raise SendRefused("the recipient is no e-mail address, or the subject no header") from None
        mail["From"] = self._smtp.sender
        mail["Date"] = localtime()
        mail["Message-ID"] = message_id(notice.key, self._smtp.sender)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
        mail["Content-Language"] = notice.text.locale
        mail.set_content(notice.text.body)
        return mail


def message_id(key: UUID, sender: str) -> str:
    """The Message-ID (RFC 5322, section 3.6.4) of a mail about an event."""
    return f"<{key}@{sender.rpartition('@')[2].rstrip('>') or 'localhost'}>"


def _refused_or_failed(what: str, code: int) -> SendRefused | SendFailed:
    # RFC 5321, section 4.2.1: 5yz is a permanent refusal, 4yz a transient one.
    if code >= 500:
        return SendRefused(f"the mail server refused {what} for good ({code})")
    return SendFailed(f"the mail server refused {what} for now ({code})")
