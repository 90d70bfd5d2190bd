"""HTTP clients with the proxy and certificates that each address needs."""
