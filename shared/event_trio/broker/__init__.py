"""What talks to SNS and SQS: sessions, queues, subscriptions, and the names of all of them."""
