"""Knows what arrived: sees events come back, finds those that do not, notices a broker that forgot them."""
