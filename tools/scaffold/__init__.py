"""Writes a new service: one that runs, with its tests, and that no publisher has to know."""
