"""One purchase that needs stock and a payment in two other databases, done in several ways."""
