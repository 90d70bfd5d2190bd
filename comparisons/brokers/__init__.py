"""Brokers beside SNS and SQS: the same events, in each the same questions."""
