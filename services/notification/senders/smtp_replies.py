"""Classifies SMTP errors: the mail server is unavailable, or it rejects this recipient or this mail."""

from __future__ import annotations

import re
from email.errors import MessageError

import aiosmtplib

from .sender import LEAST_SECONDS, SenderUnavailable, SendFailed, SendRejected

# Enhanced status codes (RFC 3463): class, subject, detail. Subject 3 is the mail system itself; of its details only
# 3.4, "message too big for system", concerns the mail.
_ENHANCED = re.compile(r"^\s*[245]\.(\d{1,3})\.(\d{1,3})(?!\S)")
_TOO_BIG = (3, 4)

# Replies about the server or the session, whatever the command (RFC 5321, 4954, 3207, 7504): closing, TLS or
# authentication not available, bad sequence, authentication required or too weak, no mail service.
_OF_THE_SERVER = frozenset({421, 432, 454, 502, 503, 521, 530, 534, 535, 538})
_STORAGE = 452
_MAIL_TOO_BIG = 552


def classify_error(error: Exception) -> SendFailed | SendRejected | SenderUnavailable | None:
    """Classify an error that was raised while a mail was sent over an open session.

    Returns None for an error that neither the mail server nor the mail explains: a programming error.
    """
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return min((_recipient(refused) for refused in error.recipients), key=_is_permanent)
        case aiosmtplib.SMTPRecipientRefused():
            return _recipient(error)
        case aiosmtplib.SMTPDataError():
            if error.code == _STORAGE and _subject(error) in {None, 3}:
                return SenderUnavailable(LEAST_SECONDS, _answered(error), may_be_message=True)
            return _reply("the mail", error)
        case aiosmtplib.SMTPSenderRefused():
            # A reply to MAIL concerns every mail, unless it is about the size or the characters of this one.
            if error.code == _MAIL_TOO_BIG or _status(error) == _TOO_BIG or _subject(error) == 6:
                return _reply("the mail", error)
            return SenderUnavailable(LEAST_SECONDS, _answered(error), may_be_message=True)
        case aiosmtplib.SMTPNotSupported():
            return SendRejected("the mail server does not support SMTPUTF8, which the recipient's address requires")
        case aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPConnectError():
            return session_error(error)
        case aiosmtplib.SMTPException() | OSError() | EOFError():
            # An invalid reply, no reply, or a broken connection while the mail was sent.
            return SenderUnavailable(LEAST_SECONDS, _cannot(error), may_be_message=True)
        case MessageError() | ValueError() | LookupError():
            return SendRejected(f"the mail cannot be composed: {type(error).__name__}")
        case _:
            return None


def session_error(error: BaseException) -> SenderUnavailable:
    """The error for a session that could not be opened; no mail is its cause."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return SenderUnavailable(LEAST_SECONDS, _answered(error))
    return SenderUnavailable(LEAST_SECONDS, _cannot(error))


def _recipient(error: aiosmtplib.SMTPRecipientRefused) -> SendFailed | SendRejected | SenderUnavailable:
    return _reply("the recipient", error)


def _reply(what: str, error: aiosmtplib.SMTPResponseException) -> SendFailed | SendRejected | SenderUnavailable:
    subject = _subject(error)
    if error.code in _OF_THE_SERVER or (subject == 3 and _status(error) != _TOO_BIG):
        return SenderUnavailable(LEAST_SECONDS, _answered(error), may_be_message=True)
    # RFC 5321, section 4.2.1: 5yz is a permanent error, 4yz a transient one.
    if error.code >= 500:
        return SendRejected(f"the mail server permanently rejected {what} ({error.code})")
    if error.code >= 400:
        return SendFailed(f"the mail server temporarily rejected {what} ({error.code})")
    return SenderUnavailable(LEAST_SECONDS, _answered(error), may_be_message=True)


def _status(error: aiosmtplib.SMTPResponseException) -> tuple[int, int] | None:
    found = _ENHANCED.match(error.message)
    return (int(found[1]), int(found[2])) if found else None


def _subject(error: aiosmtplib.SMTPResponseException) -> int | None:
    status = _status(error)
    return status[0] if status else None


def _is_permanent(meaning: object) -> bool:
    return isinstance(meaning, SendRejected)


def _answered(error: aiosmtplib.SMTPResponseException) -> str:
    return f"the mail server replied {error.code}"


def _cannot(error: BaseException) -> str:
    return f"the mail server cannot be used: {type(error).__name__}"
