"""`event-trio doctor`: observes all processes, and names what is wrong, why it matters and what mends it."""
