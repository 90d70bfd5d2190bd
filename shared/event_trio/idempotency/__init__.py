"""Changes made once, however often they are asked for: keys of requests, and the answers kept under them."""
