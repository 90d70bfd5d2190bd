"""Programs for development and operation: bootstrap, embedded servers, demo, command line, scaffold, reference."""
