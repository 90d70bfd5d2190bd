"""Parses database URLs at startup; what it accepts works for every kind of connection."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from ..errors import ConfigurationError
from ..urls import is_host, is_loopback

SCHEMES = ("postgresql", "postgres")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_ATTRIBUTES = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
PARAMETERS = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
DEFAULT_PORT = 5432
SYSTEM_CERTIFICATES = "system"

ENCODE = (
    "in a password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25 and a blank as %20, "
    "or set the password in its own variable"
)
NO_ENCODING = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Variables that asyncpg reads in the modes `allow` and `prefer`, even if everything is given.
SSL_VARIABLES = ("PGSSLCERT", "PGSSLKEY", "PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION")


class InvalidDatabaseUrl(ConfigurationError, ValueError):
    """The database URL cannot be used."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database, who connects to it, and how the connection is secured."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def sslmode(self) -> str:
        """The given mode; by default `disable` for this machine and `prefer`, as libpq does, for others."""
        local = all(host.startswith("/") or is_loopback(host) for host, _ in self.hosts)
        return self.parameters.get("sslmode", "disable" if local else "prefer")

    def arguments(self) -> dict[str, Any]:
        """The arguments of `asyncpg.connect`. Neither PG* variables nor files of the user add to them.

        Raises InvalidDatabaseUrl when a certificate cannot be read.
        """
        hosts, ports = zip(*self.hosts, strict=True)
        return {
            "host": list(hosts),
            "port": list(ports),
            "user": self.user,
            # Empty rather than None: for None asyncpg reads $PGPASSWORD and ~/.pgpass.
            "password": self.password or "",
            "database": self.database,
            "ssl": self._ssl(),
            "direct_tls": False,
            "target_session_attrs": self.parameters.get("target_session_attrs", "any"),
            "gsslib": "gssapi",
        }

    def __str__(self) -> str:
        """The URL, URL-encoded. It contains the password."""
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        sockets = [host for host, _ in self.hosts if host.startswith("/")]
        given = {**({"host": ",".join(sockets)} if sockets else {}), **self.parameters}
        query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in given.items())
        authority = "" if sockets else ",".join(_authority(host, port) for host, port in self.hosts)
        url = f"postgresql://{quote(self.user, safe='')}{secret}@{authority}/{quote(self.database, safe='')}"
        return f"{url}?{query}" if query else url

    def _ssl(self) -> ssl.SSLContext | str | bool:
        if self.sslmode == "disable":
            return False
        if self.sslmode in ("allow", "prefer"):
            # The driver falls back to a connection without TLS only if it gets the name of the mode.
            for name in SSL_VARIABLES:
                os.environ.pop(name, None)
            return self.sslmode
        authorities = self.parameters.get("sslrootcert")
        verified = self.sslmode.startswith("verify") or authorities is not None
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        found.check_hostname = self.sslmode == "verify-full"
        found.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
        try:
            if verified and authorities in (None, SYSTEM_CERTIFICATES):
                found.load_default_certs()
            elif authorities is not None:
                found.load_verify_locations(cafile=authorities)
            if "sslcert" in self.parameters:
                found.load_cert_chain(self.parameters["sslcert"], self.parameters.get("sslkey"), password="")
        except (OSError, ValueError) as error:
            named = ", ".join(f"{name}={self.parameters[name]}" for name in PARAMETERS[2:5] if name in self.parameters)
            raise InvalidDatabaseUrl(f"has certificates that cannot be used ({named}): {error}") from None
        return found


def parse(text: str, password: str | None = None) -> DatabaseUrl:
    """Parse a URL; `password` is the one that was given separately.

    Raises InvalidDatabaseUrl with a text that follows the name of the setting and never contains the password.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        raise InvalidDatabaseUrl("must start with postgresql://")
    if any(character.isspace() or not character.isprintable() for character in rest):
        raise InvalidDatabaseUrl(f"contains whitespace or a control character; {ENCODE}")
    if "#" in rest:
        raise InvalidDatabaseUrl(f"contains an unencoded #; {ENCODE}")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    credentials, _, address = authority.rpartition("@")
    if "@" in path or "@" in query or "/" in path:
        raise InvalidDatabaseUrl(
            f"contains an unencoded / or ? before the last @, or an unencoded / or @ in the database name; {ENCODE}"
        )
    user, _, secret = credentials.partition(":")
    parameters = _parameters(query)
    hosts = _hosts(address, parameters.pop("host", None))
    if not user:
        raise InvalidDatabaseUrl("has no role: postgresql://role@host:port/database")
    if not path:
        raise InvalidDatabaseUrl("has no database: postgresql://role@host:port/database")
    found, given = _decoded(secret) or None, password or None
    if found and given and found != given:
        raise InvalidDatabaseUrl("contains a password, and a different one is set separately: remove one of them")
    url = DatabaseUrl(hosts, _decoded(user), _decoded(path), found or given, parameters)
    url.arguments()
    return url


def with_password(text: str, password: str | None) -> str:
    """The URL with the password that was given separately. Raises InvalidDatabaseUrl."""
    url = parse(text, password)
    return str(url) if password else text


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, raw = part.partition("=")
        name, value = _decoded(name), _decoded(raw)
        if name not in PARAMETERS:
            raise InvalidDatabaseUrl(f"has the unknown parameter {name!r}; known: {', '.join(PARAMETERS)}")
        if name in found:
            raise InvalidDatabaseUrl(f"has the parameter {name!r} twice")
        if value:
            found[name] = value
    for name, known in (("sslmode", SSL_MODES), ("target_session_attrs", SESSION_ATTRIBUTES)):
        if found.get(name, known[0]) not in known:
            raise InvalidDatabaseUrl(f"has {name}={found[name]}; known: {', '.join(known)}")
    if "sslkey" in found and "sslcert" not in found:
        raise InvalidDatabaseUrl("has an sslkey without its sslcert")
    return found


def _hosts(address: str, parameter: str | None) -> tuple[tuple[str, int], ...]:
    if address and parameter:
        raise InvalidDatabaseUrl("names a host in the authority and another one as a parameter")
    if parameter and parameter.startswith("/"):
        return ((parameter, DEFAULT_PORT),)  # the directory of a Unix socket, whose name may contain colons
    found = tuple(_host(part) for part in (address or parameter or "").split(",") if part)
    if not found:
        raise InvalidDatabaseUrl("has no host: postgresql://role@host:port/database")
    return found


def _host(text: str) -> tuple[str, int]:
    matched = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", text)
    if matched is None:
        raise InvalidDatabaseUrl("has an invalid host: write an IPv6 address in brackets, followed by at most one port")
    host, port = _decoded(matched[1]).strip("[]"), matched[2]
    if not host.startswith("/") and not is_host(host):
        raise InvalidDatabaseUrl(f"has an invalid host (write an IPv6 address in brackets); {ENCODE}")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidDatabaseUrl(f"has an invalid port; {ENCODE}")
    return host, int(port) if port else DEFAULT_PORT


def _decoded(text: str) -> str:
    if NO_ENCODING.search(text):
        raise InvalidDatabaseUrl(f"contains a % that starts no encoding; {ENCODE}")
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidDatabaseUrl("contains an encoding that is not UTF-8") from None
    if "\0" in found:
        raise InvalidDatabaseUrl("contains a zero byte")
    return found


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
