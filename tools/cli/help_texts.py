"""The help of the commands, from their docstrings."""

from __future__ import annotations

import inspect

import typer


def join_lines(app: typer.Typer) -> None:
    """Join the lines of each paragraph, so that the terminal breaks them.

    Typer does so for the first paragraph only, and prints the others with the line breaks of the source.
    """
    for command in app.registered_commands:
        text = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    for group in app.registered_groups:
        if group.typer_instance:
            join_lines(group.typer_instance)
