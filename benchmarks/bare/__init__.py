"""The ceilings: loops and services that do the least that the measured part has to do."""
