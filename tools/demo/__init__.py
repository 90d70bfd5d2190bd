"""Runs the whole system on this machine, without Docker, with customers that place orders."""
