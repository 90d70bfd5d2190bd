"""What a person confirms before a change: every change is named on a page of its own, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChangeConfirmation:
    """A change to confirm. Texts are finished sentences in the reader's language.

    `action` is the path to which the form is posted, with `fields` as hidden fields, the Idempotency-Key, the CSRF
    token and, unless `asks_reason` is false, the reason. `facts` name what is changed, and `warnings` what follows.
    """

    section: str
    title: str
    button: str
    action: str
    back: str
    facts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    asks_reason: bool = True
    is_dangerous: bool = False
    """Whether it cannot be undone: the button looks so."""
