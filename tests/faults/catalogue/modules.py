"""The faults by the part of the system that they strike."""

from importlib import import_module

MODULES = ("control", "order", "relay", "network", "broker", "database", "consumer", "load", "upgrade")


def load() -> None:
    """Register all faults."""
    for name in MODULES:
        import_module(f"tests.faults.catalogue.{name}")
