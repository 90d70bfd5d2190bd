"""Reads a FIFO queue: groups side by side, the events of a group in order, each once in effect."""
