"""The relay: carries recorded events to their topic, in order, and knows that they arrived."""
