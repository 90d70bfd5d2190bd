"""Addresses in settings: whether they are any, and whether they lead to this machine or to AWS."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
# As the AWS SDK takes them: https://docs.aws.amazon.com/general/latest/gr/rande.html
REGION = r"^[a-z]{2,}(-[a-z0-9]+)+$"
LONGEST_REGION = 40
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")
EXAMPLE = "must be a URL such as http://127.0.0.1:4566"


def is_url(text: str) -> bool:
    """Whether it is meant for an address rather than for the path of a file."""
    return "://" in text


def is_host(text: str) -> bool:
    """Whether it can be the name or the address of a machine."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and HOST.fullmatch(text) is not None
    return True


def is_loopback(host: str) -> bool:
    """Whether it is this machine, so that no proxy stands in between."""
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
    """Whether it can be the name of a region of AWS."""
    return len(text) <= LONGEST_REGION and re.fullmatch(REGION, text) is not None


def is_aws(url: str) -> bool:
    """Whether the address is AWS's own: one of its endpoints, or a private one of a VPC."""
    return (urlsplit(url).hostname or "").endswith(AWS_DOMAINS)


def host(text: str) -> str:
    """The name or address of a machine as a setting; raises ValueError with what to write."""
    if not is_host(text):
        raise ValueError("must be the name or the address of a machine, without scheme, port or brackets")
    return text


def http_url(text: str) -> str:
    """An address over HTTP as a setting; raises ValueError with what to write."""
    if "?" in text or "#" in text:
        raise ValueError("must have neither ? nor # in it")
    return resource_url(text)


def resource_url(text: str) -> str:
    """An address over HTTP of one resource, which may have a query; raises ValueError with what to write."""
    if any(character.isspace() or not character.isprintable() for character in text) or "\\" in text:
        raise ValueError("must have no blank, control character or backslash in it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{EXAMPLE}; its host or port is none") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(EXAMPLE)
    if "@" in parts.netloc:
        raise ValueError("must have no user or password in it")
    if not is_host(parts.hostname) or parts.netloc.endswith(":"):
        raise ValueError(f"{EXAMPLE}; its host or port is none")
    return text
