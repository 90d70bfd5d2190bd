"""Types of settings, validated at startup."""

from __future__ import annotations

from email.headerregistry import HeaderRegistry
from typing import Annotated, Any

from pydantic import AfterValidator, SecretStr, StringConstraints

from .urls import LONGEST_REGION, REGION, host, http_url, is_host


def _header(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without whitespace, because it is sent in a header")
    return value


def _role_password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII, as every role password")
    return value


def _mail_address(value: str) -> str:
    try:
        found: Any = HeaderRegistry()("From", value)
        domains = [address.domain for address in found.addresses if value.isprintable() and not found.defects]
    except Exception:  # noqa: BLE001 - the parser raises many kinds of errors for an invalid address
        domains = []
    if len(domains) != 1 or not is_host(domains[0]):
        raise ValueError("must be one mail address: shop@example.com, or Shop <shop@example.com>")
    return value


Host = Annotated[str, AfterValidator(host)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Region = Annotated[str, StringConstraints(pattern=REGION, max_length=LONGEST_REGION)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header)]
RolePassword = Annotated[SecretStr, AfterValidator(_role_password)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
