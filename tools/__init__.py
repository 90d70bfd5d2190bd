"""Programs of the developer's machine: the bootstrap, the embedded servers and the demo."""
