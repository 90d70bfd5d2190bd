"""Other ways to do the same, run in the same harness."""
