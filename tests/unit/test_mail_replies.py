"""SMTP errors are attributed to the server, which counts as no attempt, or to the recipient or the mail."""

import inspect
import ssl
from email.errors import HeaderParseError

import aiosmtplib
import aiosmtplib.errors
import pytest

from services.notification.senders.sender import SenderUnavailable, SendFailed, SendRejected
from services.notification.senders.smtp_replies import classify_error, session_error

Down, Failed, Refused = SenderUnavailable, SendFailed, SendRejected


def recipient(code: int, text: str = "no") -> aiosmtplib.SMTPRecipientsRefused:
    return aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(code, text, "ada@example.com")])


def mail(code: int, text: str = "no") -> aiosmtplib.SMTPDataError:
    return aiosmtplib.SMTPDataError(code, text)


def sender(code: int, text: str = "no") -> aiosmtplib.SMTPSenderRefused:
    return aiosmtplib.SMTPSenderRefused(code, text, "shop@example.com")


# What each exception of the library means while a mail is sent; a new one must be put here.
MEANINGS: dict[type[aiosmtplib.SMTPException], tuple[aiosmtplib.SMTPException, type[Exception]]] = {
    aiosmtplib.SMTPException: (aiosmtplib.SMTPException("no"), Down),
    aiosmtplib.SMTPServerDisconnected: (aiosmtplib.SMTPServerDisconnected("no"), Down),
    aiosmtplib.SMTPConnectError: (aiosmtplib.SMTPConnectError("no"), Down),
    aiosmtplib.SMTPTimeoutError: (aiosmtplib.SMTPTimeoutError("no"), Down),
    aiosmtplib.SMTPConnectTimeoutError: (aiosmtplib.SMTPConnectTimeoutError("no"), Down),
    aiosmtplib.SMTPReadTimeoutError: (aiosmtplib.SMTPReadTimeoutError("no"), Down),
    aiosmtplib.SMTPConnectResponseError: (aiosmtplib.SMTPConnectResponseError(554, "no"), Down),
    aiosmtplib.SMTPResponseException: (aiosmtplib.SMTPResponseException(-1, "no"), Down),
    aiosmtplib.SMTPHeloError: (aiosmtplib.SMTPHeloError(550, "no"), Down),
    aiosmtplib.SMTPAuthenticationError: (aiosmtplib.SMTPAuthenticationError(535, "no"), Down),
    aiosmtplib.SMTPSenderRefused: (sender(550), Down),
    aiosmtplib.SMTPNotSupported: (aiosmtplib.SMTPNotSupported("no SMTPUTF8"), Refused),
    aiosmtplib.SMTPDataError: (mail(554), Refused),
    aiosmtplib.SMTPRecipientRefused: (aiosmtplib.SMTPRecipientRefused(450, "no", "ada@example.com"), Failed),
    aiosmtplib.SMTPRecipientsRefused: (recipient(550), Refused),
}


@pytest.mark.parametrize(
    "kind",
    [
        found
        for _, found in inspect.getmembers(aiosmtplib.errors, inspect.isclass)
        if issubclass(found, aiosmtplib.SMTPException)
    ],
)
def test_every_error_of_aiosmtplib_is_classified(kind: type[aiosmtplib.SMTPException]) -> None:
    error, meaning = MEANINGS[kind]
    found = classify_error(error)
    assert type(found) is meaning
    assert "ada" not in str(found)
    assert type(session_error(error)) is Down
    assert "ada" not in str(session_error(error))


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        *((recipient(code), Refused) for code in (500, 501, 550, 551, 552, 553, 554, 556)),
        *((recipient(code), Failed) for code in (450, 451, 452)),
        *((recipient(code), Down) for code in (421, 432, 454, 502, 503, 521, 530, 535, 538, -1, 299)),
        (recipient(450, "4.7.1 greylisted"), Failed),
        (recipient(452, "4.2.2 mailbox full"), Failed),
        (recipient(452, "4.3.1 no space on device"), Down),
        (recipient(451, "4.3.2 not accepting messages\nsee you"), Down),
        (recipient(550, "5.3.5 misconfigured"), Down),
        (recipient(550, "5.1.1 no such user"), Refused),
        *((mail(code), Refused) for code in (550, 552, 554)),
        (mail(451), Failed),
        (mail(452), Down),
        (mail(452, "4.2.2 mailbox full"), Failed),
        (mail(552, "5.3.4 too big"), Refused),
        *((mail(code), Down) for code in (421, 454, 503)),
        *((sender(code), Down) for code in (421, 451, 452, 501, 530, 550, 553)),
        (sender(552), Refused),
        (sender(452, "4.3.4 too big for now"), Failed),
        (sender(553, "5.6.7 no such characters"), Refused),
        (ConnectionResetError(), Down),
        (OSError(113, "no route"), Down),
        (ssl.SSLError(1, "bad record"), Down),
        (ssl.SSLCertVerificationError("expired"), Down),
        (EOFError(), Down),
        (TimeoutError(), Down),
        (ValueError("ada@example.com"), Refused),
        (UnicodeEncodeError("ascii", "ada", 0, 1, "no"), Refused),
        (HeaderParseError("ada@example.com"), Refused),
        (IndexError("ada"), Refused),
    ],
)
def test_only_replies_about_recipient_or_mail_count_as_attempts(error: Exception, meaning: type[Exception]) -> None:
    found = classify_error(error)
    assert type(found) is meaning
    assert "ada" not in str(found)


def test_a_programming_error_is_not_classified() -> None:
    assert classify_error(RuntimeError("no")) is None
