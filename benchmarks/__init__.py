"""Measures costs as counts, which do not depend on the machine, and speed as ratios of neighboring runs."""
