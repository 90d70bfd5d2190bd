"""Comparisons of this system's choices with their alternatives, which run beside each other."""
