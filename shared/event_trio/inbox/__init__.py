"""The record of what a consumer has processed, and of what it has put aside."""
