"""What a service publishes and consumes, as documents: AsyncAPI and JSON Schema."""
