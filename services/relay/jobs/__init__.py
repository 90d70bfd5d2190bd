"""Background jobs of the relay: each is a bounded step that one step loop repeats."""
