"""Formats the parts of generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Generated from the code by `make reference`: change the code, not this page. -->"


def page(title: str, introduction: str, *parts: str) -> str:
    """A page: title, introduction and parts, separated by blank lines."""
    return "\n\n".join([f"# {title}", NOTICE, introduction.strip(), *(part.strip() for part in parts)]) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; pipes in cells are escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """The text as code; empty for an empty text."""
    return f"`{text}`" if text else ""


def paragraph(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    first = (docstring or "").strip().partition("\n\n")[0]
    return " ".join(first.split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
