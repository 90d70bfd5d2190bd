"""The few forms that a generated page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written from the code by `make reference`: change the code, not this page. -->"


def page(title: str, introduction: str, *parts: str) -> str:
    """A whole page; the parts come after the introduction, one blank line apart."""
    return "\n\n".join([f"# {title}", NOTICE, introduction.strip(), *(part.strip() for part in parts)]) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell early is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """Text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def paragraph(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    first = (docstring or "").strip().partition("\n\n")[0]
    return " ".join(first.split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
