"""Renders the text of messages, from one template per event type and language."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError

from event_trio.contracts.orders import OrderEvent
from event_trio.errors import EventTrioError

from .domain import DEFAULT_LOCALE, MessageText, language

FOLDER = Path(__file__).parent / "templates"


class RenderingFailed(EventTrioError):
    """The template of the event is missing, or it cannot be rendered with this event."""


class Templates:
    """Templates in a folder: `<language>/<event type>.txt`. The first line is the subject, the rest is the body."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.languages = frozenset(found.name for found in folder.iterdir() if found.is_dir())
        # Plain text: HTML escaping would show `&amp;` to customers.
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=False,  # noqa: S701
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def render(self, event: OrderEvent, locale: str) -> MessageText:
        """Render the text for an event in the language of the locale, or in English if there are no such templates.

        Raises RenderingFailed.
        """
        wanted = language(locale)
        found = wanted if wanted in self.languages else DEFAULT_LOCALE
        try:
            rendered = self._template(found, event.type).render(event=event)
        except (TemplateError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            # The messages of template errors may quote the event: only the type is reported.
            raise RenderingFailed(
                f"the template {found}/{event.type}.txt cannot be used: {type(error).__name__}"
            ) from None
        subject, _, body = rendered.partition("\n")
        return MessageText(locale=found, subject=subject.strip(), body=body.strip() + "\n")

    def _template(self, locale: str, event_type: str) -> Template:
        return self._environment.get_template(f"{locale}/{event_type}.txt")
