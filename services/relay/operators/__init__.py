"""The operations and views of operators."""
