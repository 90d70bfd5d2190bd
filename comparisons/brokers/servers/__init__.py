"""Starts each broker from a package, by itself, on the loopback."""
