"""Whose failure it is when a mail server does not take a mail: the server's, this recipient's, or this mail's."""

from __future__ import annotations

import re
from email.errors import MessageError

import aiosmtplib

from .sender import LEAST_SECONDS, SenderUnavailable, SendFailed, SendRejected

# Enhanced status codes (RFC 3463): class, subject, detail. Subject 3 is the mail system itself, of which only 3.4,
# "too big for the system", is about the mail.
_ENHANCED = re.compile(r"^\s*[245]\.(\d{1,3})\.(\d{1,3})(?!\S)")
_TOO_BIG = (3, 4)

# Said of the server or of the session, to whatever command (RFC 5321, 4954, 3207, 7504): closing, TLS or
# authentication not available, bad sequence, authentication needed or too weak, no mail here at all.
_OF_THE_SERVER = frozenset({421, 432, 454, 502, 503, 521, 530, 534, 535, 538})
_STORAGE = 452
_MAIL_TOO_BIG = 552


def classify_error(error: Exception) -> SendFailed | SendRejected | SenderUnavailable | None:
    """What an error means that came after the session was opened, when a mail was being sent.

    None for what neither the mail server nor the mail explains: a mistake in the code.
    """
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return min((_recipient(refused) for refused in error.recipients), key=_is_for_good)
        case aiosmtplib.SMTPRecipientRefused():
            return _recipient(error)
        case aiosmtplib.SMTPDataError():
            if error.code == _STORAGE and _subject(error) in {None, 3}:
                return SenderUnavailable(LEAST_SECONDS, _answered(error), doubtful=True)
            return _reply("the mail", error)
        case aiosmtplib.SMTPSenderRefused():
            # What is said to MAIL is said to every mail, unless it is about this one's size or characters.
            if error.code == _MAIL_TOO_BIG or _status(error) == _TOO_BIG or _subject(error) == 6:
                return _reply("the mail", error)
            return SenderUnavailable(LEAST_SECONDS, _answered(error), doubtful=True)
        case aiosmtplib.SMTPNotSupported():
            return SendRejected("the mail server takes no address with such characters before the @ (no SMTPUTF8)")
        case aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPConnectError():
            return session_error(error)
        case aiosmtplib.SMTPException() | OSError() | EOFError():
            # An answer that is none, no answer, or a connection that broke: while the mail was under way.
            return SenderUnavailable(LEAST_SECONDS, _cannot(error), doubtful=True)
        case MessageError() | ValueError() | LookupError():
            return SendRejected(f"no mail can be made of it: {type(error).__name__}")
        case _:
            return None


def session_error(error: BaseException) -> SenderUnavailable:
    """No session could be opened: whatever the reason is, it is not a mail's."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return SenderUnavailable(LEAST_SECONDS, _answered(error))
    return SenderUnavailable(LEAST_SECONDS, _cannot(error))


def _recipient(error: aiosmtplib.SMTPRecipientRefused) -> SendFailed | SendRejected | SenderUnavailable:
    return _reply("the recipient", error)


def _reply(what: str, error: aiosmtplib.SMTPResponseException) -> SendFailed | SendRejected | SenderUnavailable:
    subject = _subject(error)
    if error.code in _OF_THE_SERVER or (subject == 3 and _status(error) != _TOO_BIG):
        return SenderUnavailable(LEAST_SECONDS, _answered(error), doubtful=True)
    # RFC 5321, section 4.2.1: 5yz is a permanent refusal, 4yz a transient one.
    if error.code >= 500:
        return SendRejected(f"the mail server refused {what} for good ({error.code})")
    if error.code >= 400:
        return SendFailed(f"the mail server refused {what} for now ({error.code})")
    return SenderUnavailable(LEAST_SECONDS, _answered(error), doubtful=True)


def _status(error: aiosmtplib.SMTPResponseException) -> tuple[int, int] | None:
    found = _ENHANCED.match(error.message)
    return (int(found[1]), int(found[2])) if found else None


def _subject(error: aiosmtplib.SMTPResponseException) -> int | None:
    status = _status(error)
    return status[0] if status else None


def _is_for_good(meaning: object) -> bool:
    return isinstance(meaning, SendRejected)


def _answered(error: aiosmtplib.SMTPResponseException) -> str:
    return f"the mail server answered {error.code}"


def _cannot(error: BaseException) -> str:
    return f"the mail server cannot be used: {type(error).__name__}"
