"""The migrations of the notifications database; forward only."""
