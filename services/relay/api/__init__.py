"""The REST API of the relay, for operators."""
