"""Validates e-mail addresses: those that SMTP can transport (RFC 5321), with internationalized domains (RFC 5891)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address, Group, HeaderRegistry
from functools import lru_cache
from typing import Annotated, Any

import idna
from pydantic import AfterValidator

from .errors import EventTrioError

MOST_OCTETS = 254
"""The longest address: a path, with its angle brackets, has at most 256 octets (RFC 5321, section 4.5.3.1.3)."""
MOST_LOCAL_OCTETS = 64

# Letters that are rendered as nothing, and the empty Braille cell.
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
_ENCODED_WORD = "=?"

_NEITHER = (
    r"@\s\x00-\x1f\x7f-\xa0\xad\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3000\u3164\ufeff\uffa0"
    r"\"(),:;<>\[\]\\"
)
# Excludes the start of an encoded word, without a lookahead, which not every OpenAPI tool supports.
_NAME = rf"(?:\?*(?:=*[^=?{_NEITHER}]\?*)+=*|\?*=+|\?+)"
PATTERN = rf"^{_NAME}@[^{_NEITHER}]+$"
"""A regular expression that every valid address matches; some invalid ones match as well."""

# A dot-atom (RFC 5322, section 3.2.3) in which non-ASCII characters count as letters (RFC 6532). Quoted local parts are
# valid, but in practice only attackers use them.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\u1fff\u2c00-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U000dffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")


class NotMailable(EventTrioError):
    """No mail can be sent to this address. The message gives the reason and does not quote the address."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A parsed address, in the form in which it is sent."""

    local: str
    domain: str
    """In ASCII: the A-labels of an internationalized domain."""

    @property
    def is_ascii(self) -> bool:
        """Whether every mail server accepts it; a non-ASCII one requires the extension SMTPUTF8 (RFC 6531)."""
        return self.local.isascii()

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def mailbox(address: str) -> Mailbox:
    """Parse an address; raises NotMailable."""
    if len(address) > MOST_OCTETS:
        raise NotMailable(f"an e-mail address has at most {MOST_OCTETS} octets")
    if any(_is_blank(character) for character in address):
        raise NotMailable("an e-mail address contains no whitespace, control or invisible characters")
    local, at, domain = address.rpartition("@")
    if not at or "@" in local:
        raise NotMailable("an e-mail address has one @ between a name and a domain, such as ada@example.com")
    if _ENCODED_WORD in local:
        # RFC 2047 does not allow them in an address, but mail software decodes them, to line ends and new headers too.
        raise NotMailable(
            "the part of an e-mail address before the @ must not contain =?, which starts an encoded word"
        )
    if not _LOCAL.fullmatch(local):
        raise NotMailable(
            "the part of an e-mail address before the @ consists of letters, digits and !#$%&'*+-/=?^_`{|}~, "
            "with single dots between"
        )
    if len(_octets(local)) > MOST_LOCAL_OCTETS:
        raise NotMailable(f"the part of an e-mail address before the @ has at most {MOST_LOCAL_OCTETS} octets")
    found = Mailbox(local, _domain(domain))
    if len(_octets(str(found))) > MOST_OCTETS:
        raise NotMailable(f"an e-mail address has at most {MOST_OCTETS} octets, with its domain in ASCII")
    return found


def parse_sender(value: str) -> Address:
    """The sender address of mails, with its display name; raises ValueError with the reason.

    It must be ASCII before the @, because not every mail server supports SMTPUTF8.
    """
    groups: Sequence[Group] = []
    try:
        header: Any = HeaderRegistry()("From", value)
        if value.isprintable() and not header.defects:
            groups = list(header.groups)
    except Exception:  # noqa: BLE001 - the parser raises many kinds of errors for an invalid address
        groups = []
    # A plain address is a group without a name.
    if len(groups) != 1 or groups[0].display_name is not None or len(groups[0].addresses) != 1:
        raise ValueError("it cannot be parsed as one address")
    found = groups[0].addresses[0]
    try:
        address = mailbox(found.addr_spec)
    except NotMailable as error:
        raise ValueError(str(error)) from None
    if not address.is_ascii:
        raise ValueError("the part before the @ must be ASCII, because not every mail server supports SMTPUTF8")
    return Address(found.display_name, address.local, address.domain)


def _mail_address(value: str) -> str:
    try:
        parse_sender(value)
    except ValueError as error:
        raise ValueError(f"must be one mail address: shop@example.com, or Shop <shop@example.com>; {error}") from None
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
"""The type of a setting with a sender address."""


def _is_blank(character: str) -> bool:
    return unicodedata.category(character)[0] in "ZC" or character in _FILLERS


# Few domains have most of the addresses, and each check looks up every character in tables.
@lru_cache(maxsize=1024)
def _domain(domain: str) -> str:
    if domain.endswith((".", "\u3002", "\uff0e", "\uff61")):
        raise NotMailable("the domain of an e-mail address must not end with a dot")
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii")
    except (UnicodeError, ValueError, IndexError):
        raise NotMailable(
            "the part of an e-mail address after the @ must be a domain name: labels of letters, digits and hyphens, "
            "at most 63 characters each, separated by dots"
        ) from None


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")
