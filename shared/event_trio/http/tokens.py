"""The callers that bearer tokens name, and why a token may not be accepted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import EventTrioError


class Role(StrEnum):
    """The roles of callers.

    A reader sees the state of outboxes and inboxes, without payloads, and changes nothing.
    """

    CUSTOMER = "customer"
    READER = "reader"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: the token's subject (for a customer, the customer's id) and roles."""

    subject: str
    roles: frozenset[Role]

    def has(self, *roles: Role) -> bool:
        """Whether the caller has at least one of these roles."""
        return not self.roles.isdisjoint(roles)


class TokenRejected(EventTrioError):
    """The token is missing or invalid."""


class KeysUnavailable(EventTrioError):
    """The key set cannot be read, so that no token can be verified."""
