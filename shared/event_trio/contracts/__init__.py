"""Event payloads that services agree on."""
