"""The REST face of the relay: for its operators."""
