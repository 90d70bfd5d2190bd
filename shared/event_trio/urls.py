"""Validates URLs and hosts in settings, and recognises those of this machine and of AWS."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
# As the AWS SDK accepts them: https://docs.aws.amazon.com/general/latest/gr/rande.html
REGION = r"^[a-z]{2,}(-[a-z0-9]+)+$"
LONGEST_REGION = 40
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")
EXAMPLE = "must be a URL such as http://127.0.0.1:4566"


def is_url(text: str) -> bool:
    """Whether it is a URL rather than a file path."""
    return "://" in text


def is_host(text: str) -> bool:
    """Whether it is a valid host name or IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and HOST.fullmatch(text) is not None
    return True


def is_loopback(host: str) -> bool:
    """Whether it is this machine, so that no proxy is used."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", "localhost.localstack.cloud")):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or address.is_unspecified or (mapped is not None and mapped.is_loopback)


def is_region(text: str) -> bool:
    """Whether it has the form of an AWS region name."""
    return len(text) <= LONGEST_REGION and re.fullmatch(REGION, text) is not None


def is_aws(url: str) -> bool:
    """Whether it is an endpoint of AWS, including those of a VPC."""
    return (urlsplit(url).hostname or "").endswith(AWS_DOMAINS)


def host(text: str) -> str:
    """Validate a host; raises ValueError that says what is expected."""
    if not is_host(text):
        raise ValueError("must be a host name or IP address, without scheme, port or brackets")
    return text


def http_url(text: str) -> str:
    """Validate an HTTP base URL; raises ValueError that says what is expected."""
    if "?" in text or "#" in text:
        raise ValueError("must not contain ? or #")
    return resource_url(text)


def resource_url(text: str) -> str:
    """Validate the HTTP URL of a resource, which may have a query; raises ValueError that says what is expected."""
    if any(character.isspace() or not character.isprintable() for character in text) or "\\" in text:
        raise ValueError("must not contain whitespace, control characters or backslashes")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{EXAMPLE}; its host or port is invalid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(EXAMPLE)
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or password")
    if not is_host(parts.hostname) or parts.netloc.endswith(":"):
        raise ValueError(f"{EXAMPLE}; its host or port is invalid")
    return text
