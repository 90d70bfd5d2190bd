"""The columns of the table of questions."""

FOUND = "Seen"
