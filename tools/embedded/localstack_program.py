"""Runs LocalStack, in its own environment, without a search for garbage until it is ready.

What it imports and loads while it starts stays. To search that again and again takes a third of the processor time of
a start and a fifth of that of later calls, so it is left out of all collections. The program imports nothing of the
project (`python -P localstack_program.py`).
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()

import importlib
import runpy
import threading

YOUNG_OBJECTS = 50_000
"""How many new objects start a collection."""


def main() -> None:
    """Run LocalStack until a signal."""
    ready: threading.Event = importlib.import_module("localstack.runtime.events").infra_ready
    threading.Thread(target=collect_after, args=(ready,), daemon=True).start()
    runpy.run_module("localstack.runtime.main", run_name="__main__", alter_sys=True)


def collect_after(ready: threading.Event) -> None:
    """Enable collections, of what is created from then on."""
    ready.wait()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()


if __name__ == "__main__":
    main()
