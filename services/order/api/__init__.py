"""The REST API of the order service."""
