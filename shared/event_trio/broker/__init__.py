"""Clients of SNS and SQS: sessions, queues, subscriptions, and their names."""
