"""The environment of the templates."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import jinja2

from .page import query

FOLDER = Path(__file__).parents[1] / "templates"


@cache
def environment(folder: Path = FOLDER) -> jinja2.Environment:
    """Templates escape every value. A field that an answer lacks, as of another version, is shown as nothing.

    A process compiles them once, however many applications it builds.
    """
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )
    found.globals["address"] = query
    found.filters["columns"] = columns
    for name in found.list_templates():
        # Compiled now, so that the first person does not wait for it.
        found.get_template(name)
    return found


def columns(text: object) -> int:
    """How wide a text is, in columns of a terminal: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in str(text))


def components(known: jinja2.Environment) -> object:
    """The macros that every template uses as `ui`; a part of a page is rendered without the imports of the page."""
    return known.get_template("components.html").module
