"""The parts that every service shares; it knows no service."""
