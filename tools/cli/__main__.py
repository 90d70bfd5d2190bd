"""`python -m tools.cli`."""

import sys

from tools.cli.main import app
from tools.cli.output import Output


def run() -> None:
    """The command, as it was called."""
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        # Bytes of another encoding: no service could be sent them, and no terminal be shown them.
        Output(as_json=False).error("what was given is no UTF-8, so it cannot be sent")
        raise SystemExit(1) from None
    app(prog_name="event-trio")


if __name__ == "__main__":
    run()
