"""The order service: takes orders, keeps their state, states what happened to them."""
