"""Entry point of `python -m tools.cli`."""

from __future__ import annotations

import sys

from tools.cli.main import app
from tools.cli.output import Output


def run() -> None:
    """Run the command with the arguments of the process."""
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        # Bytes in another encoding can neither be sent to a service nor be printed.
        Output(as_json=False).error("the arguments are not valid UTF-8")
        raise SystemExit(1) from None
    app(prog_name="event-trio")


if __name__ == "__main__":
    run()
