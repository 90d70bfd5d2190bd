"""Types of settings, validated at startup."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr, StringConstraints

from .urls import LONGEST_REGION, REGION, host, http_url


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


Host = Annotated[str, AfterValidator(host)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Region = Annotated[str, StringConstraints(pattern=REGION, max_length=LONGEST_REGION)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header)]
RolePassword = Annotated[SecretStr, AfterValidator(_role_password)]
