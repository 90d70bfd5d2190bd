"""Each compared broker behind the same interface."""
