"""What pages show, made of the services' answers."""
