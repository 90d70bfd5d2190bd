"""The migrations of the orders database; forward only."""
