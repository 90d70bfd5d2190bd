"""Shares the work among relays, and wakes them: leases on lanes, LISTEN and NOTIFY."""
