"""The command `event-trio`: a client of the services' operations APIs, and of nothing else."""
