"""Shares the work among relays by leases on lanes, and wakes relays by LISTEN and NOTIFY."""
