"""What operators see and change, and the loops that carry it out in bounded steps."""
