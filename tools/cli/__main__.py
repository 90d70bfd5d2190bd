"""`python -m tools.cli`."""

from tools.cli.main import app

if __name__ == "__main__":
    app(prog_name="event-trio")
