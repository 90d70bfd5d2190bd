"""Takes the bytes of one event to its outcome."""
