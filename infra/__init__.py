"""What the services run on: the topology's templates and what deploys them."""
