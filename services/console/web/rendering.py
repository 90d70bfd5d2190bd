"""The environment of the templates."""

from __future__ import annotations

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
    for name in found.list_templates():
        # Compiled now, so that the first person does not wait for it.
        found.get_template(name)
    return found


def components(known: jinja2.Environment) -> object:
    """The macros that every template uses as `ui`; a part of a page is rendered without the imports of the page."""
    return known.get_template("components.html").module
